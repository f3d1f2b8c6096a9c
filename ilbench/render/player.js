"use strict";
// Plays two episodes side by side. A shape is points on a link and a radius; see ilbench/render/geometry.py.
const film = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const sides = ["expert", "learner"].map((name, who) => ({
  who, ...film.sides[who],
  view: document.querySelector("." + name + " canvas"), said: document.querySelector("." + name + " .said"),
}));
const colours = {
  expert: { body: "#5b93d1", tip: "#2f6db0" }, learner: { body: "#e5984a", tip: "#b86a14" },
  target: "#3a9d5d", world: "#aeb6bf", wrong: "#c8102e", shadow: "#f0c3ca", ink: "#1d2530", pale: "#e3e7ec",
};
let time = 0, playing = false, before = null;

// ------------------------------------------------------------------------------------------ geometry
function turned([w, x, y, z], [a, b, c]) {
  const u = y * c - z * b + w * a, v = z * a - x * c + w * b, t = x * b - y * a + w * c;
  return [a + 2 * (y * t - z * v), b + 2 * (z * u - x * t), c + 2 * (x * v - y * u)];
}
function link(pose, l) { return [pose.slice(7 * l, 7 * l + 3), pose.slice(7 * l + 3, 7 * l + 7)]; }
function inWorld(shape, pose) {
  if (shape.link < 0) return shape.points;
  const [p, q] = link(pose, shape.link);
  return shape.points.map((v) => { const r = turned(q, v); return [p[0] + r[0], p[1] + r[1], p[2] + r[2]]; });
}
function lookAt(pose) {
  if (film.follow === null) return [0, 0, 0];
  const p = link(pose, film.follow)[0];
  return [p[0], film.flat ? 0 : p[1], 0];
}
function lens(width, height, look) {
  const c = film.camera, zoom = Math.min(width / c.half[0], height / c.half[1]) / 2;
  return (p) => {
    const d = [p[0] - look[0], p[1] - look[1], p[2] - look[2]];
    const [x, y, depth] = c.axes.map((a) => a[0] * d[0] + a[1] * d[1] + a[2] * d[2]);
    const s = c.distance ? c.distance / Math.max(c.distance + depth, 0.05 * c.distance) : 1;
    return { x: width / 2 + zoom * (x * s - c.centre[0]), y: height / 2 - zoom * (y * s - c.centre[1]), depth, zoom: zoom * s };
  };
}
function hull(points) {  // Andrew's monotone chain
  const p = [...points].sort((a, b) => a.x - b.x || a.y - b.y);
  const half = (list) => {
    const out = [];
    for (const c of list) {
      while (out.length > 1) {
        const a = out[out.length - 2], b = out[out.length - 1];
        if ((b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x) > 0) break;
        out.pop();
      }
      out.push(c);
    }
    return out.slice(0, -1);
  };
  return [...half(p), ...half(p.reverse())];
}

// -------------------------------------------------------------------------------------------- drawing
function sheet(canvas) {
  const k = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * k) || canvas.height !== Math.round(height * k)) {
    canvas.width = Math.round(width * k); canvas.height = Math.round(height * k);
  }
  const g = canvas.getContext("2d");
  g.setTransform(k, 0, 0, k, 0, 0);
  g.clearRect(0, 0, width, height);
  return [g, width, height];
}
function solid(g, seen, radius, fill, edge) {
  if (!fill) {  // a target: a ring, through which the robot is seen
    g.strokeStyle = edge; g.lineWidth = 3;
    g.beginPath();
    if (radius > 0) g.arc(seen[0].x, seen[0].y, Math.max(radius * seen[0].zoom, 4), 0, 7);
    else hull(seen).forEach((p, i) => (i ? g.lineTo(p.x, p.y) : g.moveTo(p.x, p.y)));
    g.closePath(); g.stroke();
    return;
  }
  g.lineCap = g.lineJoin = "round";
  if (radius > 0) {
    const thick = 2 * radius * (seen.reduce((sum, p) => sum + p.zoom, 0) / seen.length);
    for (const [colour, more] of [[edge, 2], [fill, 0]]) {
      if (!colour) continue;
      g.strokeStyle = colour; g.lineWidth = Math.max(thick, 2) + more;
      g.beginPath(); g.moveTo(seen[0].x, seen[0].y);
      const end = seen[seen.length - 1];
      g.lineTo(end.x + 1e-3, end.y);
      g.stroke();
    }
    return;
  }
  g.beginPath();
  hull(seen).forEach((p, i) => (i ? g.lineTo(p.x, p.y) : g.moveTo(p.x, p.y)));
  g.closePath();
  g.fillStyle = fill; g.fill();
  if (edge) { g.strokeStyle = edge; g.lineWidth = 1; g.stroke(); }
}
function floor(g, width, height, see, look) {
  const step = film.camera.grid, first = Math.floor(look[0] / step);
  g.strokeStyle = colours.pale; g.lineWidth = 1;
  if (film.flat) {
    const y = see([0, 0, 0]).y;
    g.fillStyle = "#eef1f4"; g.fillRect(0, y, width, height - y);
    g.strokeStyle = colours.world; g.beginPath(); g.moveTo(0, y); g.lineTo(width, y); g.stroke();
    g.fillStyle = "#55606e"; g.font = "12px system-ui, sans-serif"; g.textAlign = "center"; g.textBaseline = "top";
    for (let i = first - 20; i <= first + 20; i++) {
      const x = see([i * step, 0, 0]).x;
      if (x < 0 || x > width) continue;
      g.beginPath(); g.moveTo(x, y); g.lineTo(x, y + 5); g.stroke();
      if (x > 20 && x < width - 20) g.fillText(+(i * step).toFixed(2) + " m", x, y + 7);
    }
    return;
  }
  const second = Math.floor(look[1] / step), n = 12;
  for (let i = -n; i <= n; i++) {
    for (const ends of [[[first + i, second - n], [first + i, second + n]], [[first - n, second + i], [first + n, second + i]]]) {
      const [a, b] = ends.map(([x, y]) => see([x * step, y * step, 0]));
      g.beginPath(); g.moveTo(a.x, a.y); g.lineTo(b.x, b.y); g.stroke();
    }
  }
}
function robot(g, see, pose, colour) {
  film.shapes.map((shape) => {
    const seen = inWorld(shape, pose).map(see);
    const depth = seen.reduce((sum, p) => sum + p.depth, 0) / seen.length;
    return { shape, seen, depth: shape.role === "target" ? -Infinity : depth };
  }).sort((a, b) => b.depth - a.depth).forEach(({ shape, seen }) => {
    const fill = colour(shape);
    if (fill) solid(g, seen, shape.radius, fill[0], fill[1]);
  });
}
function frameAt(t) { return Math.min(Math.floor(t / film.dt + 1e-6), film.sides[0].returns.length - 1); }
const reached = (at) => at !== null && time >= at - 1e-9;
function show(side) {
  const frame = frameAt(time), pose = side.poses[Math.min(frame, side.poses.length - 1)];
  const [g, width, height] = sheet(side.view), look = lookAt(pose), see = lens(width, height, look);
  if (film.floor) floor(g, width, height, see, look);
  const wrong = side.who === 1 && reached(film.left);
  if (wrong) {
    robot(g, see, film.ghost, (s) => (s.link < 0 || s.role === "target" ? null : [colours.shadow, null]));
  }
  const own = side.who ? colours.learner : colours.expert;
  robot(g, see, pose, (s) => (s.role === "target" ? [null, colours.target]
    : [own[s.role] || colours[s.role], s.role === "world" ? null : "#2b3440"]));
  side.view.classList.toggle("wrong", wrong);
  const words = ["return " + side.returns[frame].toFixed(1)];
  if (film.follow !== null) words.push("x = " + link(pose, film.follow)[0][0].toFixed(2) + " m");
  side.said.textContent = words.join(", ");
  const marks = [];
  if (wrong) marks.push("left the expert's states at t = " + film.left.toFixed(2) + " s (red shadow)");
  if (reached(side.fell)) marks.push("fell at t = " + side.fell.toFixed(2) + " s");
  if (marks.length) {
    const b = document.createElement("b");
    b.textContent = marks.join("; ");
    side.said.append(document.createElement("br"), b);
  }
}

// ------------------------------------------------------------------------------------------- timeline
const PAD = 12, TOP = 40, BASE = 90;
const ahead = (t, width) => PAD + (t / film.end) * (width - 2 * PAD);
function label(g, width, t, text, y) {
  const x = ahead(t, width), right = x > width / 2;
  g.strokeStyle = g.fillStyle = colours.wrong; g.lineWidth = 2;
  g.beginPath(); g.moveTo(x, y - 7); g.lineTo(x, BASE); g.stroke();
  g.textAlign = right ? "right" : "left"; g.textBaseline = "middle";
  g.fillText(text, x + (right ? -6 : 6), y);
}
function timeline() {
  const [g, width] = sheet($("line")), fell = film.sides[1].fell;
  g.font = "12px system-ui, sans-serif";
  g.fillStyle = "#f3f5f7"; g.fillRect(PAD, TOP, width - 2 * PAD, BASE - TOP);
  const top = film.delta > 0 ? 4 * film.delta : 1, end = fell === null ? film.end : fell, tall = BASE - TOP;
  film.errors.forEach((e, i) => {
    const x = ahead(i * film.dt, width), wide = ahead(film.dt, width) - PAD;
    if (i * film.dt >= end - 1e-9 || e <= 0) return;
    const high = Math.min(e / top, 1) * tall;
    g.fillStyle = e > film.delta ? "#e58a97" : "#9fb0c2";
    g.fillRect(x, BASE - high, Math.max(wide, 0.7), high);
  });
  if (fell !== null) { g.fillStyle = "#f6d5d9"; g.fillRect(ahead(fell, width), TOP, ahead(film.end, width) - ahead(fell, width), tall); }
  if (film.delta > 0) {
    const y = BASE - tall / 4;
    g.setLineDash([4, 4]); g.strokeStyle = "#55606e"; g.lineWidth = 1;
    g.beginPath(); g.moveTo(PAD, y); g.lineTo(width - PAD, y); g.stroke(); g.setLineDash([]);
  }
  g.fillStyle = "#55606e"; g.textBaseline = "top";
  const rough = film.end / 8, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= rough - 1e-9);
  for (let i = 0; i * step <= film.end + 1e-9; i++) {
    const x = ahead(i * step, width);
    g.textAlign = i === 0 ? "left" : x > width - 30 ? "right" : "center";
    g.fillText(+(i * step).toFixed(3) + " s", i === 0 ? PAD : x > width - 30 ? width - PAD : x, BASE + 6);
  }
  if (film.left !== null) label(g, width, film.left, "leaves the expert's states, " + film.left.toFixed(2) + " s", 9);
  if (fell !== null) label(g, width, fell, "fell, " + fell.toFixed(2) + " s", 27);
  const x = ahead(time, width);
  g.strokeStyle = g.fillStyle = colours.ink; g.lineWidth = 2;
  g.beginPath(); g.moveTo(x, TOP - 3); g.lineTo(x, BASE + 3); g.stroke();
  g.beginPath(); g.arc(x, BASE, 5, 0, 7); g.fill();
}

// ------------------------------------------------------------------------------------------- playing
function draw() {
  sides.forEach(show);
  timeline();
  $("time").textContent = "t = " + time.toFixed(2) + " s of " + film.end.toFixed(2) + " s";
  $("line").setAttribute("aria-valuenow", time.toFixed(2));
}
function play(on) {
  if (on && time >= film.end - 1e-9) time = 0;
  playing = on; before = null;
  $("play").textContent = on ? "Pause" : "Play";
  if (on) requestAnimationFrame(tick);
  draw();
}
function tick(now) {
  if (!playing) return;
  if (before !== null) time = Math.min(film.end, time + ((now - before) / 1000) * Number($("speed").value));
  before = now;
  if (time >= film.end) play(false);
  else { draw(); requestAnimationFrame(tick); }
}
function seek(t) { time = Math.max(0, Math.min(film.end, t)); if (playing) play(false); else draw(); }
const move = (n) => seek((frameAt(time) + n) * film.dt);
function scrub(event) {
  const box = $("line").getBoundingClientRect();
  seek(((event.clientX - box.left - PAD) / (box.width - 2 * PAD)) * film.end);
}
$("play").onclick = () => play(!playing);
$("back").onclick = () => move(-1);
$("next").onclick = () => move(1);
$("first").disabled = film.left === null;
if (film.left === null) $("first").textContent = "It stays with the expert";
$("first").onclick = () => seek(film.left);
$("line").onpointerdown = (event) => { $("line").setPointerCapture(event.pointerId); scrub(event); };
$("line").onpointermove = (event) => { if (event.buttons) scrub(event); };
$("line").setAttribute("aria-valuemax", film.end);
window.addEventListener("keydown", (event) => {
  if (event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && event.target.tagName !== "BUTTON") { event.preventDefault(); play(!playing); }
  if (event.key === "ArrowLeft") { event.preventDefault(); move(-1); }
  if (event.key === "ArrowRight") { event.preventDefault(); move(1); }
});
window.addEventListener("resize", draw);
// #t=1.5 opens the page paused at that time.
const asked = /^#t=([0-9.]+)$/.exec(location.hash);
if (asked) seek(Number(asked[1]));
else play(!window.matchMedia("(prefers-reduced-motion: reduce)").matches);
