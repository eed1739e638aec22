"""Where speech comes from: manifests, folders, known corpora, a synthetic one."""
