// The page: what is looked at, the keys, the lists, and the changes of labels on their way to the file.

import { Face } from "./face.js";
import { Frames } from "./frames.js";
import { ClockPlayer, VideoPlayer } from "./player.js";
import { Timeline, clock, moved } from "./timeline.js";

const $ = (id) => document.getElementById(id);
const REACTION = 0.3; // seconds from seeing to pressing, as for streamspot label
const NAMES = { macro: "macro", micro: "micro", unsure: "unsure", rejected: "rejected" };

let overview, status, frames, player, face, data;
let item = 0, number = 0, selected = {}, hidden = false, gone = false, asked = 0, opening = 0;
let whose = 0; // which of the faces in view labels are of
let queue = Promise.resolve(), pending = []; // labels on their way: the next key already finds them

// ---- colours of the style sheet, for what is drawn

let colour;
function colours() {
  if (colour) return colour;
  const style = getComputedStyle(document.documentElement), get = (name) => style.getPropertyValue(`--${name}`).trim();
  colour = {
    ink: get("ink"), faint: get("faint"), line: get("line"), shade: get("shade"), panel: get("panel"), macro: get("macro"),
    macroFill: get("macro-fill"), micro: get("micro"), microFill: get("micro-fill"), curve: get("curve"), curveFill: get("curve-fill"),
    unsure: get("unsure"), cursor: get("cursor"), focus: get("focus"), heat: get("heat"),
  };
  return colour;
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { colour = null; draw(); });

// ---- the server

async function ask(path, body) {
  try {
    const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(path, options);
    if (gone) { gone = false; warn(); }
    return { code: answer.status, ...(await answer.json()) };
  } catch {
    gone = true;
    warn();
    return null;
  }
}

function warn() {
  const what = gone
    ? "The program has ended or cannot be reached. Labels up to now are in the file; start streamspot review again and open the new address to go on."
    : status?.unsaved ? `Not saved yet: ${status.unsaved}. Your labels are kept here and written as soon as it is possible.`
    : status?.error ?? "";
  $("alert").hidden = !what;
  if ($("alert").textContent !== what) $("alert").textContent = what;
}

let silence;
function say(text) {
  $("said").textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => ($("said").textContent = ""), 4000);
}

// ---- an item

async function look(which) {
  const turn = ++opening;
  let before, answer;
  do {
    await (before = queue);
    answer = await ask(`items/${which}/look`, {});
  } while (before !== queue); // labels set meanwhile are of what is still on show
  if (!answer || turn !== opening) return;
  player?.close();
  item = which;
  location.replace(`#${which}`);
  data = null;
  selected = {};
  number = 0;
  frames = new Frames(answer.fps || (answer.seconds ? answer.expected / answer.seconds : 30) || 30);
  status = answer;
  if (answer.error) {
    player = null;
    $("name").textContent = overview.items[which].name;
    $("list").replaceChildren();
    return warn();
  }
  face = new Face($("face"), `items/${which}/poses`, colours);
  start(answer.plays !== null);
  await take(answer);
  timeline.show(0, Math.min(length(), 60));
  seek(0);
  items();
  foresee(frames);
}

/** Fetches when the container says that its pictures are, for those that the analysis has not reached. */
async function foresee(here) {
  const answer = await fetch(`items/${item}/times`).catch(() => null);
  if (!answer?.ok) return;
  const stamps = new Float64Array(await answer.arrayBuffer());
  if (here !== frames || !stamps.length) return;
  here.foresee(stamps);
  if (player && !player.playing) seek(number, true); // the picture of that number may be another now
  lists();
}

function start(plays) {
  player?.close();
  const address = `items/${item}/`, pictures = status.motion ? null : $("picture");
  const fallBack = () => { say("the browser cannot play it; shown frame by frame"); start(false); seek(number); };
  player = plays
    ? new VideoPlayer($("video"), `${address}video`, frames, shown, draw, fallBack)
    : new ClockPlayer(pictures, `${address}picture`, frames, shown, length, last, say);
}

async function take(answer) {
  if (!answer) return;
  const grown = !status || answer.known !== status.known || answer.done !== status.done;
  status = { ...status, ...answer, error: answer.error };
  pending.forEach(known);
  if (answer.frames > frames.length) {
    const here = frames, first = here.length, pairs = await fetch(`items/${item}/frames?first=${first}`).then((r) => r.arrayBuffer());
    if (here !== frames) return; // another is looked at by now
    here.append(new Float64Array(pairs), first);
  }
  timeline.length = length();
  if (grown && status.known > timeline.view.start) curve(grown && answer.done);
  $("progress").hidden = status.done;
  $("progress").value = status.seconds ? Math.min(1, status.known / status.seconds) : 0;
  $("how-far").textContent = status.done ? status.trouble || status.messages.at(-1) || "" : `analysing ${clock(status.known, 0)} of ${clock(length(), 0)}`;
  $("how-far").title = status.messages.join("\n");
  $("name").textContent = status.name + (overview.coder ? ` · ${overview.coder}` : "");
  const count = status.labels.length;
  $("saved").textContent = `${count} label${count === 1 ? "" : "s"}, ${status.unsaved ? "not saved" : "saved"}`;
  $("undo").disabled = !status.undoable;
  $("redo").disabled = !status.redoable;
  $("seen").setAttribute("aria-pressed", status.seen);
  faces();
  const line = overview.items[item];
  Object.assign(line, { labels: count, seen: status.seen, analysed: status.done });
  warn();
  lists();
  draw();
}

const last = () => (status.done && frames.length ? frames.numbers[frames.length - 1] : frames.numberAt(length() - 1e-3));
const length = () => Math.max(status.seconds || 0, status.known || 0, 1);

/** Fetches the curve of what is in view, if it is not on its way already. */
async function curve(anew) {
  const turn = ++asked, which = item;
  await new Promise((done) => setTimeout(done, anew ? 0 : 40));
  if (turn !== asked || !status || status.error) return;
  const { start: from, end: to } = timeline.view, margin = 0.25 * (to - from);
  const first = Math.max(0, from - margin), last = to + margin;
  const bins = Math.max(1, Math.min(2400, Math.round((last - first) * 30), Math.round(timeline.width * (last - first) / (to - from))));
  const answer = await ask(`items/${which}/curve?start=${first}&end=${last}&bins=${bins}`);
  if (!answer || answer.code !== 200 || which !== item || turn !== asked) return;
  data = { ...answer, start: first, end: last };
  draw();
}

setInterval(async () => {
  const which = item, known = status?.done;
  if (!player || document.hidden || (known && !status.unsaved && Math.random() > 0.5)) return;
  const answer = await ask(`items/${which}/status`);
  if (answer && which === item && answer.version >= (status?.version ?? 0) && answer.code === 200) await take(answer);
}, 1000);

// ---- the cursor

function shown(time) {
  if (time !== undefined && player?.playing) {
    number = frames.numberAt(time);
    timeline.follow(frames.timeOf(number));
  } else if (player && !player.playing) player.seek(number); // it may have shown one more by now
  draw();
}

function seek(to, keep) {
  if (!player) return;
  number = Math.min(Math.max(0, to), last());
  player.seek(number);
  if (!keep) timeline.follow(frames.timeOf(number));
  draw();
}

function step(steps) {
  player.pause();
  seek(frames.next(number, steps));
}

function playPause() {
  if (player.playing) player.pause();
  else {
    if (frames.timeOf(number) >= length() - 0.05) seek(0);
    player.play(Number($("rate").value));
  }
}

// ---- labels

function send(change) {
  queue = queue.then(async () => {
    const answer = await ask(`items/${item}/labels`, { version: status.version, change });
    if (!answer) { say("not taken: the program cannot be reached"); return false; }
    if (answer.code !== 200) say(answer.error);
    if (answer.code !== 400 && answer.code !== 422) await take(answer);
    return answer.code === 200;
  });
  return queue;
}

function put(label, said) {
  label = { face: faceNow(), ...label };
  selected = { type: "label", id: label.id };
  say(said ?? `${NAMES[label.kind]} at frame ${label.point}`);
  const before = status.labels.find(({ id }) => id === label.id);
  pending.push(label);
  known(label);
  return send({ op: "put", label }).then((taken) => {
    pending = pending.filter((one) => one !== label);
    if (taken) return;
    status.labels = status.labels.filter(({ id }) => id !== label.id);
    if (before) known(before);
    lists();
    draw();
  });
}

function known(label) {
  status.labels = [...status.labels.filter(({ id }) => id !== label.id), label].sort((a, b) => a.point - b.point);
}

/** The face that new labels are of; null where there is only one at a time. */
const faceNow = () => (status.faces.length ? status.faces[whose % status.faces.length] : null);
const ofFace = ({ face }) => (status.faces.length && face !== null ? `, face ${face}` : "");

function nextFace() {
  if (!status.faces.length) return say("there is only one face at a time");
  whose = (whose + 1) % status.faces.length;
  say(`labels are of face ${faceNow()}`);
  faces();
}

function faces() {
  $("whose").hidden = !status.faces.length;
  $("whose").firstChild.textContent = `Face ${faceNow()} `;
}

function mark(kind) {
  const lag = player.playing ? REACTION * Number($("rate").value) : 0;
  const point = lag ? frames.numberAt(Math.max(0, frames.timeOf(number) - lag)) : number;
  const here = status.labels.find((label) => label.point === point && (label.face === null || label.face === faceNow()));
  put(here ? { ...here, kind, face: here.face ?? faceNow() } : { id: crypto.randomUUID(), kind, point, onset: null, offset: null });
}

/** Of what lies under the cursor: what is selected, else what is of the face that labels are of, else the first. */
const first = (under) => under.find(({ id }) => id === selected.id) ?? under.find(({ face }) => face === null || face === faceNow()) ?? under[0];
const event = () => first(status.events.filter(({ frames: [on, , off] }) => on <= number && number <= off));

/** The label under the cursor, else the one that is selected or that answers the event that is. */
function label() {
  const under = first(status.labels.filter((one) => one.onset === null ? one.point === number : one.onset <= number && number <= one.offset));
  if (under) return under;
  const judged = status.events.find(({ id }) => id === selected.id);
  return status.labels.find(({ id }) => id === selected.id) ?? (judged && answerTo(judged));
}

/** The label that answers an event: the one that overlaps it most, by half or more, or a point of no other kind in it. */
function answerTo({ frames: [on, , off], face: shown, kind }) {
  const other = { macro: "micro", micro: "macro" }[kind];
  let best = null, most = 0;
  for (const one of status.labels) {
    if (status.faces.length && one.face !== null && one.face !== shown) continue;
    const [a, b] = one.onset === null ? [one.point, one.point] : [one.onset, one.offset];
    const shared = Math.min(b, off) - Math.max(a, on) + 1, all = Math.max(b, off) - Math.min(a, on) + 1;
    const much = one.onset === null ? (shared > 0 && one.kind !== other ? 0.6 : 0) : shared / all;
    if (much >= 0.5 && much > most) [best, most] = [one, much];
  }
  return best;
}

function judge(accepted, which = event()) {
  if (hidden) return say("events are hidden; h shows them");
  if (!which) return say("no event here; n goes to the next");
  const [onset, point, offset] = which.frames, kind = accepted ? which.kind : "rejected";
  const id = answerTo(which)?.id ?? crypto.randomUUID();
  put({ id, kind, onset, point, offset, face: status.faces.length ? which.face : null }, `${accepted ? `accepted as ${kind}` : "rejected"} at ${clock(frames.timeOf(point), 2)}`).then(() => { draw(); lists(); });
  selected = { type: "event", id: which.id };
}

function edit(change) {
  const one = label();
  if (!one) return say("select a label first: n and p go to it, or click it");
  const after = change(one);
  put(after, `${NAMES[after.kind]}: ${after.onset === null ? `frame ${after.point}` : `frames ${after.onset} to ${after.offset}`}`);
}

function setMark(part) {
  edit((one) => {
    if (part !== "point" && one.onset === null) {
      const far = Math.abs(number - one.point);
      one = { ...one, onset: Math.max(0, one.point - far), offset: Math.min(one.point + far, last()) };
    }
    return moved(one, part, number, 0, last());
  });
}

function shift(by) {
  edit((one) => moved(one, "all", one.point, by, last()));
}

function remove(one = label()) {
  if (!one) return say("no label here");
  selected = {};
  say(`${NAMES[one.kind]} at frame ${one.point} removed`);
  send({ op: "remove", id: one.id });
}

/** Events and labels in order of time; an event that a label answers is not listed twice. */
function stops() {
  const events = hidden ? [] : status.events, answers = new Set(events.map((one) => answerTo(one)?.id));
  const all = [
    ...events.map((one) => ({ type: "event", id: one.id, at: one.frames[1] })),
    ...status.labels.filter(({ id }) => !answers.has(id)).map((one) => ({ type: "label", id: one.id, at: one.point })),
  ];
  return all.sort((a, b) => a.at - b.at);
}

function go(direction) {
  const all = stops(), next = direction > 0 ? all.find(({ at }) => at > number) : all.findLast(({ at }) => at < number);
  if (!next) return say(direction > 0 ? "no event or label after this" : "no event or label before this");
  select(next.type, next.id);
}

function select(type, id, stay) {
  selected = { type, id };
  const at = type === "label" ? status.labels.find((one) => one.id === id)?.point : status.events.find((one) => one.id === id)?.frames[1];
  if (at !== undefined && !stay) {
    player.pause();
    seek(at);
  }
  lists();
  draw();
}

// ---- what is shown

const timeline = new Timeline($("timeline"), colours, {
  seek: (time) => { if (player) { selected = {}; player.pause(); seek(frames.numberAt(Math.min(Math.max(0, time), length())), true); lists(); } },
  change: (one) => put(one),
  select: (type, id) => select(type, id),
  accept: (one) => judge(true, one),
  view: () => { if (status && !status.error) { curve(); draw(); } },
});

let drawing = false;
function draw() {
  if (drawing || !status || status.error || !player) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    if (!player || !status || status.error) return;
    const time = frames.timeOf(number);
    timeline.draw({
      labels: status.labels, data, cursor: time, known: status.done ? length() : status.known, hidden, selected, last: last(),
      events: status.events.map((one) => ({ ...one, verdict: answerTo(one)?.kind })),
      number: (t) => Math.min(frames.numberAt(t), last()), timeOf: (n) => frames.timeOf(n), seconds: (a, b) => frames.timeOf(b + 1) - frames.timeOf(a),
    });
    face.draw(time, status.known, hidden);
    $("clock").textContent = `${clock(time, 3)} · frame ${number}`;
    $("play").textContent = player.playing ? "⏸" : "▶";
    document.body.dataset.frame = number;
    if (data) document.body.dataset.curve = data.end;
    document.body.dataset.shown = player.shown ?? "";
  });
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function lists() {
  if (!status || status.error) return;
  const focus = document.activeElement?.dataset?.row;
  const table = (caption, head, rows, empty) => {
    const made = element("table", {}, element("caption", { textContent: caption }));
    made.append(element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { textContent: name, scope: "col" })))), element("tbody", {}, ...rows));
    return rows.length ? [made] : [made, element("p", { className: "empty", textContent: empty })];
  };
  const row = (type, { id, kind, ...one }, times, extra) => {
    const jump = element("button", { type: "button", className: "jump", textContent: clock(times[1], 2), title: "go there", onclick: () => select(type, id) });
    jump.dataset.row = id;
    const made = element("tr", {}, element("td", { textContent: NAMES[kind] + ofFace(one), className: kind }), element("td", {}, jump), element("td", { textContent: times[0] === null ? "" : `${(times[2] - times[0]).toFixed(2)} s` }), element("td", {}, extra));
    if (selected.id === id) made.setAttribute("aria-selected", "true");
    return made;
  };
  const labels = status.labels.map((one) => {
    const times = one.onset === null ? [null, frames.timeOf(one.point)] : [one.onset, one.point, one.offset].map((n) => frames.timeOf(n));
    return row("label", one, times, element("button", { type: "button", textContent: "✕", title: "remove (del)", ariaLabel: `remove ${one.kind} at frame ${one.point}`, onclick: () => remove(one) }));
  });
  const events = hidden ? [] : status.events.map((one) => {
    const verdict = answerTo(one)?.kind;
    return row("event", one, one.times, answered(one.kind, verdict));
  });
  const open = hidden ? 0 : status.events.filter((one) => !answerTo(one)).length;
  $("list").replaceChildren(
    ...table(`Labels (${labels.length})`, ["kind", "apex", "length", ""], labels, "none yet: m or u labels what shows at the cursor"),
    ...table(`Events (${hidden ? "hidden" : `${events.length}, ${open} open`})`, ["kind", "apex", "length", ""], events, hidden ? "h shows them" : status.done ? "none was spotted" : "none so far"),
  );
  if (focus) $("list").querySelector(`[data-row="${CSS.escape(focus)}"]`)?.focus();
  $("list").querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
}

function answered(kind, verdict) {
  if (!verdict) return "open";
  if (verdict === kind) return "✓";
  return { rejected: "✕ rejected", unsure: "? unsure" }[verdict] ?? `✓ ${verdict}`;
}

function items() {
  const all = overview.items;
  $("items").hidden = all.length < 2;
  if (all.length < 2) return;
  const done = all.filter((one) => one.seen).length;
  const buttons = all.map((one, i) => {
    const made = element("button", { type: "button", onclick: () => look(i), title: one.name }, element("span", { textContent: one.name }), element("span", { textContent: one.seen ? `✓ ${one.labels}` : one.labels || "" }));
    made.setAttribute("aria-current", i === item);
    return made;
  });
  $("items").replaceChildren(element("p", { textContent: `${done} of ${all.length} seen to the end` }), ...buttons);
  $("items").querySelector('[aria-current="true"]')?.scrollIntoView({ block: "nearest" });
}

function hide(now = !hidden) {
  hidden = now;
  $("hide").setAttribute("aria-pressed", hidden);
  $("hide").firstChild.textContent = hidden ? "Show curve " : "Hide curve ";
  lists();
  draw();
}

// ---- keys

const KEYS = {
  " ": playPause, ArrowLeft: () => step(-1), ArrowRight: () => step(1), m: () => mark("macro"), u: () => mark("micro"), x: () => mark("unsure"),
  f: nextFace, a: () => judge(true), r: () => judge(false), z: () => send({ op: "undo" }), y: () => send({ op: "redo" }), n: () => go(1), p: () => go(-1),
  "[": () => timeline.zoom(0.5, frames.timeOf(number)), "]": () => timeline.zoom(2, frames.timeOf(number)), PageUp: () => timeline.pan(-0.5), PageDown: () => timeline.pan(0.5),
  Home: () => seek(0), End: () => { player.pause(); seek(Infinity); }, h: () => hide(), 1: () => setMark("onset"), 2: () => setMark("point"), 3: () => setMark("offset"),
  ",": () => shift(-1), ".": () => shift(1), "<": () => shift(-10), ">": () => shift(10),
  Delete: () => remove(), Backspace: () => remove(), d: () => send({ op: "seen", seen: !status.seen }).then(items), Escape: () => { selected = {}; lists(); draw(); },
  N: () => item + 1 < overview.items.length && look(item + 1), P: () => item > 0 && look(item - 1), "?": () => $("help").showModal(),
};

addEventListener("keydown", (e) => {
  const bracket = "[]".includes(e.key) && e.altKey && !e.metaKey; // on many keyboards it needs AltGr or Option
  if (((e.ctrlKey || e.metaKey || e.altKey) && !bracket) || $("help").open || e.target.matches?.("select, input")) return;
  if (e.key === " " && e.target.matches?.("button")) return; // presses the button that has the focus
  const jump = e.shiftKey && { ArrowLeft: -1, ArrowRight: 1 }[e.key], act = jump ? () => { player.pause(); seek(frames.numberAt(Math.max(0, frames.timeOf(number) + jump + 1e-4))); } : KEYS[e.key] ?? (e.shiftKey && KEYS[{ Comma: "<", Period: ">" }[e.code]]);
  if (!act || !status || (status.error && !"NP?".includes(e.key))) return;
  e.preventDefault();
  act();
});

addEventListener("mousedown", (e) => { if (e.target.closest?.("button")) e.preventDefault(); }); // or it takes the focus, and space presses it
for (const button of document.querySelectorAll("button[data-key]")) button.addEventListener("click", () => player && KEYS[button.dataset.key]());
$("back").addEventListener("click", () => player && step(-1));
$("forth").addEventListener("click", () => player && step(1));
$("play").addEventListener("click", () => player && playPause());
$("rate").addEventListener("change", () => { player?.rate(Number($("rate").value)); $("rate").blur(); });
$("hide").addEventListener("click", () => hide());
$("whose").addEventListener("click", nextFace);
$("help-button").addEventListener("click", () => $("help").showModal());
addEventListener("resize", () => { curve(); draw(); });

overview = await ask("items");
if (overview) {
  hide(overview.hidden);
  $("where").textContent = `Labels are written to ${overview.files.join(" and ")} at each key.`;
  await look(Math.min(Number(location.hash.slice(1)) || 0, overview.items.length - 1));
}
