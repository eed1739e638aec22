// Hearing and moving in the timeline. `element`, `trigger` and `watch` are Gradio's:
// the component's place in the page, its events, and news of a redrawing.
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
const TICK = 64; // least pixels between two times on the axis
const FINEST = 200; // most pixels a second
let zoom = 1;
let turn = null; // what is being heard: { start, end }

const part = (selector) => element.querySelector(selector);
const sound = () => document.querySelector(".when-player audio");
const duration = () => Number(part(".when")?.dataset.duration || 0);

function clock(seconds, step) {
  const places = step < 1 ? 1 : 0;
  const units = Math.round(seconds * 10 ** places);
  const whole = Math.floor(units / 10 ** places);
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const text = hours ? `${hours}:${two(minutes)}` : `${minutes}`;
  return `${text}:${two(whole % 60)}` + (places ? `.${units % 10}` : "");
}

// Only the times in sight are written, so an hour can be drawn as wide as one likes.
function drawAxis() {
  const axis = part(".when-axis");
  const view = part(".when-scroll");
  if (!axis || !view.clientWidth) return;
  const length = duration();
  const scale = axis.clientWidth / length;
  const step = STEPS.find((s) => s * scale >= TICK) || 3600;
  const first = Math.max(0, Math.floor(view.scrollLeft / scale / step));
  const last = (view.scrollLeft + view.clientWidth) / scale;
  axis.replaceChildren();
  for (let n = first; n * step <= last; n++) {
    const time = n * step;
    if (n && (length - time) * scale < TICK - 8) break; // it would be cut
    const mark = document.createElement("span");
    mark.style.left = `${time * scale}px`;
    mark.textContent = clock(time, step);
    axis.append(mark);
  }
}

function setZoom(wanted, at) {
  const view = part(".when-scroll");
  const track = part(".when-track");
  if (!track || !view.clientWidth) return;
  const most = Math.max(1, (FINEST * duration()) / view.clientWidth);
  const middle = at ?? (view.scrollLeft + view.clientWidth / 2) / track.clientWidth;
  zoom = Math.min(Math.max(wanted, 1), most);
  track.style.width = `${100 * zoom}%`;
  view.scrollLeft = middle * track.clientWidth - view.clientWidth / 2;
  drawAxis();
}

function drawHead() {
  const head = part(".when-head");
  const player = sound();
  if (!head || !player) return;
  const place = Math.min(player.currentTime / duration(), 1);
  head.style.left = `${100 * place}%`;
  for (const button of element.querySelectorAll(".when-now")) {
    if (!holds(button, turn)) button.classList.remove("when-now");
  }
  const view = part(".when-scroll");
  const x = place * part(".when-track").clientWidth - view.scrollLeft;
  if (!player.paused && zoom > 1 && (x < 0 || x > view.clientWidth)) {
    view.scrollLeft += x - view.clientWidth / 8;
  }
}

const holds = (button, span) =>
  span !== null &&
  Number(button.dataset.start) === span.start &&
  Number(button.dataset.end) === span.end;

function follow() {
  const player = sound();
  if (!player) return;
  if (turn && player.currentTime >= turn.end) {
    player.pause();
    turn = null;
  }
  drawHead();
  if (!player.paused) requestAnimationFrame(follow);
}

function hear(start, end) {
  const player = sound();
  if (!player) return;
  turn = end === undefined ? null : { start, end };
  player.currentTime = start;
  if (end === undefined) drawHead();
  else player.play().then(follow, () => {});
}

function press(button) {
  for (const other of element.querySelectorAll(".when-now")) {
    other.classList.remove("when-now");
  }
  button.classList.add("when-now");
  enter(button);
  hear(Number(button.dataset.start), Number(button.dataset.end));
}

// The Tab key stops once in a lane; there the arrows go from turn to turn.
function enter(button) {
  for (const other of button.parentElement.querySelectorAll('[tabindex="0"]')) {
    other.tabIndex = -1;
  }
  button.tabIndex = 0;
}

function neighbour(button, key) {
  const turns = button.parentElement;
  if (key === "ArrowRight") return button.nextElementSibling;
  if (key === "ArrowLeft") return button.previousElementSibling;
  if (key === "Home") return turns.firstElementChild;
  if (key === "End") return turns.lastElementChild;
  const lanes = [...element.querySelectorAll(".when-turns")];
  const lane = lanes[lanes.indexOf(turns) + { ArrowDown: 1, ArrowUp: -1 }[key]];
  const start = Number(button.dataset.start);
  const away = (other) => Math.abs(Number(other.dataset.start) - start);
  const others = lane ? [...lane.children] : [];
  return others.reduce((a, b) => (a && away(a) <= away(b) ? a : b), null);
}

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  const line = event.target.closest(".when-axis, .when-wave");
  if (button?.matches(".when-turn")) press(button);
  else if (button?.dataset.zoom === "in") setZoom(zoom * 2);
  else if (button?.dataset.zoom === "out") setZoom(zoom / 2);
  else if (button?.dataset.zoom === "fit") setZoom(1);
  else if (button?.dataset.speaker) trigger("select", { speaker: button.dataset.speaker });
  else if (line) {
    const box = line.getBoundingClientRect();
    hear((duration() * (event.clientX - box.left)) / box.width);
  }
});

element.addEventListener("keydown", (event) => {
  if (event.key === "Escape") sound()?.pause();
  if (!event.target.matches(".when-turn")) return;
  if (!/^(Arrow(Left|Right|Up|Down)|Home|End)$/.test(event.key)) return;
  event.preventDefault();
  const next = neighbour(event.target, event.key);
  if (!next) return;
  enter(next);
  next.focus();
});

element.addEventListener(
  "wheel",
  (event) => {
    const track = part(".when-track");
    if (!event.ctrlKey || !track) return;
    event.preventDefault();
    const box = track.getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width;
    setZoom(zoom * (event.deltaY < 0 ? 1.25 : 0.8), at);
  },
  { passive: false },
);

element.addEventListener("scroll", drawAxis, true);
new ResizeObserver(drawAxis).observe(element);
for (const name of ["play", "seeked", "timeupdate"]) {
  document.addEventListener(
    name,
    (event) => {
      if (event.target !== sound()) return;
      if (name === "play") follow();
      else drawHead();
    },
    true,
  );
}
// A turn is over when the listener moves elsewhere with the player's own controls.
document.addEventListener(
  "seeking",
  (event) => {
    const player = event.target;
    if (player !== sound() || !turn) return;
    if (player.currentTime < turn.start - 0.05 || player.currentTime > turn.end) {
      turn = null;
    }
  },
  true,
);

let shown = duration();
watch("value", () => {
  if (duration() !== shown) {
    zoom = 1; // another recording
    turn = null;
  }
  shown = duration();
  setZoom(zoom);
  drawHead();
});
setZoom(1);
