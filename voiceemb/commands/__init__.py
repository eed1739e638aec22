"""Who speaks: speaker verification, identification and diarization."""

COMMANDS = {
    name: f"voiceemb.commands.{module}:{name.replace('-', '_')}"
    for module, names in {
        "encoder": "embed search verify evaluate robustness calibrate pack fuse train "
        "train-ensemble",
        "speech": "enrol people identify activity timeline diarize score listen page "
        "train-vad",
    }.items()
    for name in names.split()
}
