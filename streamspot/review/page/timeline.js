// The time axis: curve, events, labels and the regions' motion, one under the other, with zoom, pan and dragging.

const LEFT = 104, RULER = 20, EVENTS = 26, LABELS = 34;
const NOISE = 16; // of 255: what a face at rest may show
const NEAR = 6; // pixels within which the mouse takes hold
const GROUPS = [
  ["brow left", /^brow_left/], ["brow right", /^brow_right/], ["lids", /^lid/], ["cheeks", /^cheek/], ["nostrils", /^nostril/],
  ["mouth left", /^mouth_corner_left/], ["mouth right", /^mouth_corner_right/], ["lips", /^lip_/], ["chin", /^chin/],
];
const SIGNS = { macro: "M", micro: "µ", unsure: "?", rejected: "✕" };

/** Calls back with what the user does: seek(time), change(label), select(kind, id), accept(event), view(). */
export class Timeline {
  constructor(canvas, colours, does) {
    Object.assign(this, { canvas, colours, does });
    this.view = { start: 0, end: 10 };
    this.length = 10;
    canvas.addEventListener("pointerdown", (e) => this.press(e));
    canvas.addEventListener("pointermove", (e) => this.drag(e));
    canvas.addEventListener("pointerup", (e) => this.release(e));
    canvas.addEventListener("pointercancel", () => (this.held = null));
    canvas.addEventListener("dblclick", (e) => this.twice(e));
    canvas.addEventListener("wheel", (e) => this.wheel(e), { passive: false });
  }

  get width() { return Math.max(50, this.canvas.clientWidth - LEFT - 8); }
  x(time) { return LEFT + (time - this.view.start) / (this.view.end - this.view.start) * this.width; }
  time(x) { return this.view.start + (x - LEFT) / this.width * (this.view.end - this.view.start); }

  show(start, end) {
    const span = Math.min(Math.max(end - start, 0.2), Math.max(this.length, 0.2));
    const from = Math.min(Math.max(0, start), Math.max(0, this.length - span));
    this.view = { start: from, end: from + span };
    this.does.view();
  }

  zoom(factor, about) {
    const { start, end } = this.view;
    this.show(about - (about - start) * factor, about + (end - about) * factor);
  }

  pan(share) {
    const by = share * (this.view.end - this.view.start);
    this.show(this.view.start + by, this.view.end + by);
  }

  follow(time) {
    const { start, end } = this.view;
    if (time < start || time > end) this.show(time - 0.1 * (end - start), time + 0.9 * (end - start));
  }

  // ---- the mouse

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  hit({ x, y }) {
    if (!this.shown) return {};
    const rows = this.rows();
    if (y >= rows.labels && y < rows.labels + LABELS) {
      let best = null;
      for (const label of this.shown.labels) {
        const [on, at, off] = this.span(label).map((t) => this.x(t));
        const marks = label.onset === null ? [["point", at]] : [["onset", on], ["offset", off], ["point", at]];
        for (const [part, px] of marks) {
          if (Math.abs(px - x) <= NEAR && (!best || Math.abs(px - x) < best.far)) best = { label, part, far: Math.abs(px - x) };
        }
        if (!best && label.onset !== null && x > on && x < off) best = { label, part: "all", far: NEAR };
      }
      return best ?? { empty: true };
    }
    if (!this.shown.hidden && y >= rows.events && y < rows.events + EVENTS) {
      const event = this.shown.events.find(({ times }) => x >= this.x(times[0]) - 3 && x <= this.x(times[2]) + 3);
      if (event) return { event };
    }
    return {};
  }

  press(e) {
    if (e.button !== 0 || !this.shown) return;
    this.canvas.setPointerCapture(e.pointerId);
    const at = this.place(e), found = this.hit(at), from = this.shown.number(this.time(at.x));
    this.held = { ...found, from, x: at.x };
    if (found.label) this.does.select("label", found.label.id);
    else if (found.event) this.does.select("event", found.event.id);
    else if (!found.empty) this.does.seek(this.time(at.x));
  }

  drag(e) {
    const at = this.place(e), held = this.held;
    if (!held) {
      const { label, part, event, empty } = this.hit(at);
      this.canvas.style.cursor = label ? (part === "all" ? "grab" : "ew-resize") : event ? "pointer" : empty ? "crosshair" : "default";
      return;
    }
    if (Math.abs(at.x - held.x) > 2) held.moved = true;
    const now = this.shown.number(Math.min(Math.max(0, this.time(at.x)), this.length));
    if (held.label && held.moved) this.draft = moved(held.label, held.part, now, now - held.from, this.shown.last);
    else if (held.empty && held.moved) this.draft = drawn(held.from, now, this.shown.seconds);
    else if (!held.label && !held.event && !held.empty) this.does.seek(this.time(at.x));
    this.draw();
  }

  release(e) {
    const { held, draft } = this;
    this.held = this.draft = null;
    if (draft) this.does.change(draft);
    else if (held?.empty) this.does.seek(this.time(this.place(e).x));
  }

  twice(e) {
    const { event } = this.hit(this.place(e));
    if (event) this.does.accept(event);
  }

  wheel(e) {
    e.preventDefault();
    if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) this.pan((e.deltaX || e.deltaY) / this.width);
    else this.zoom(Math.exp(Math.sign(e.deltaY) * Math.min(Math.abs(e.deltaY), 120) / 400), this.time(this.place(e).x));
  }

  // ---- the picture

  rows() {
    const height = this.canvas.clientHeight, motion = Math.round((height - RULER - EVENTS - LABELS) * 0.55);
    const curve = RULER, events = height - motion - LABELS - EVENTS;
    return { curve, events, labels: events + EVENTS, motion: events + EVENTS + LABELS, height };
  }

  span(label) {
    const { timeOf } = this.shown, point = timeOf(label.point);
    return label.onset === null ? [point, point, point] : [timeOf(label.onset), point, timeOf(label.offset + 1)];
  }

  /** Draws `shown`: labels, events (with `verdict`), curve, cursor, known, hidden, selected, last, number(), timeOf(), seconds(). */
  draw(shown = this.shown) {
    this.shown = shown;
    if (!shown) return;
    const ratio = devicePixelRatio, { clientWidth: width, clientHeight: height } = this.canvas;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const draw = this.canvas.getContext("2d"), colour = this.colours(), rows = this.rows();
    draw.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw.clearRect(0, 0, width, height);
    draw.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    draw.textBaseline = "middle";
    this.ruler(draw, colour, rows);
    draw.save();
    draw.beginPath();
    draw.rect(LEFT, 0, this.width, height);
    draw.clip();
    const unknown = Math.max(LEFT, this.x(shown.known));
    draw.fillStyle = colour.shade;
    draw.fillRect(unknown, rows.curve, width, rows.events + EVENTS - rows.curve);
    draw.fillRect(unknown, rows.motion, width, height - rows.motion);
    if (!shown.hidden) {
      this.curve(draw, colour, rows);
      this.motion(draw, colour, rows);
      for (const event of shown.events) this.event(draw, colour, rows, event);
    }
    const labels = shown.labels.filter(({ id }) => id !== this.draft?.id);
    for (const label of this.draft ? [...labels, this.draft] : labels) this.label(draw, colour, rows, label);
    const x = this.x(shown.cursor);
    draw.strokeStyle = draw.fillStyle = colour.cursor;
    draw.lineWidth = 1.5;
    line(draw, x, 0, x, height);
    draw.beginPath();
    draw.moveTo(x - 5, 0);
    draw.lineTo(x + 5, 0);
    draw.lineTo(x, 8);
    draw.fill();
    draw.restore();
    this.names(draw, colour, rows);
  }

  ruler(draw, colour, rows) {
    const { start, end } = this.view, about = (end - start) / (this.width / 90);
    const step = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600].find((s) => s >= about) ?? 7200;
    draw.fillStyle = colour.faint;
    draw.strokeStyle = colour.line;
    draw.lineWidth = 1;
    for (let i = Math.ceil(start / step); i * step <= end; i++) {
      const x = this.x(i * step);
      draw.textAlign = x < LEFT + 18 ? "left" : x > LEFT + this.width - 18 ? "right" : "center";
      line(draw, x, RULER - 4, x, rows.height);
      draw.fillText(clock(i * step, step < 1 ? (step < 0.1 ? 2 : 1) : 0), x, RULER / 2 - 1);
    }
  }

  curve(draw, colour, rows) {
    const { data } = this.shown, bottom = rows.events - 3, height = bottom - rows.curve - 4;
    if (!data) return;
    const step = (data.end - data.start) / data.intensity.length;
    const at = (i) => this.x(data.start + (i + 0.5) * step), up = (v) => bottom - v * height;
    draw.fillStyle = colour.curveFill;
    draw.strokeStyle = colour.curve;
    draw.lineWidth = 1.5;
    let from = -1;
    for (let i = 0; i <= data.intensity.length; i++) {
      const v = data.intensity[i];
      if (v !== null && v !== undefined) { if (from < 0) from = i; continue; }
      if (from < 0) continue;
      draw.beginPath();
      draw.moveTo(at(from), bottom);
      for (let j = from; j < i; j++) draw.lineTo(at(j), up(data.intensity[j]));
      draw.lineTo(at(i - 1), bottom);
      draw.fill();
      draw.beginPath();
      for (let j = from; j < i; j++) draw.lineTo(at(j), up(data.intensity[j]));
      draw.stroke();
      from = -1;
    }
    for (const kind of ["macro", "micro"]) {
      draw.strokeStyle = colour[`${kind}Fill`];
      draw.setLineDash(kind === "micro" ? [4, 3] : []);
      draw.lineWidth = 1.2;
      draw.beginPath();
      data[kind].forEach((v, i) => { if (v !== null) (data[kind][i - 1] ?? null) === null ? draw.moveTo(at(i), up(v)) : draw.lineTo(at(i), up(v)); });
      draw.stroke();
    }
    draw.setLineDash([]);
  }

  motion(draw, colour, rows) {
    if (!this.shown.data || !this.groups().length) return;
    const key = [this.shown.data, this.view.start, this.view.end, this.canvas.width, this.canvas.height, colour];
    if (!this.heat || key.some((part, i) => part !== this.heat.key[i])) this.heat = { key, picture: this.heated(colour, rows) };
    draw.drawImage(this.heat.picture, LEFT, rows.motion, this.width, rows.height - rows.motion);
  }

  /** Draws the motion once for all cursors: it has thousands of cells. */
  heated(colour, rows) {
    const { data } = this.shown, groups = this.groups(), ratio = devicePixelRatio, all = rows.height - rows.motion;
    const picture = new OffscreenCanvas(Math.ceil(this.width * ratio), Math.max(1, Math.ceil(all * ratio))), draw = picture.getContext("2d");
    draw.setTransform(ratio, 0, 0, ratio, -LEFT * ratio, 0);
    const step = (data.end - data.start) / data.intensity.length, high = (all - 4) / groups.length;
    groups.forEach(([, lists], row) => {
      for (let i = 0; i < data.intensity.length; i++) {
        let v = 0;
        for (const list of lists) v = Math.max(v, list[i]);
        if (v < NOISE) continue;
        const x = this.x(data.start + i * step), next = this.x(data.start + (i + 1) * step);
        draw.fillStyle = `rgba(${colour.heat}, ${Math.min(1, 0.15 + (v - NOISE) / 120)})`;
        draw.fillRect(x, 2 + row * high, Math.max(1, next - x), high - 1);
      }
    });
    return picture;
  }

  groups() {
    const regions = Object.entries(this.shown.data?.regions ?? {});
    return GROUPS.map(([name, fits]) => [name, regions.filter(([one]) => fits.test(one)).map(([, list]) => list)]).filter(([, lists]) => lists.length);
  }

  event(draw, colour, rows, event) {
    const [on, apex, off] = event.times.map((t) => this.x(t)), y = rows.events + 4, high = EVENTS - 8;
    const off1 = Math.max(off, on + 3), chosen = this.shown.selected.id === event.id;
    draw.globalAlpha = event.verdict === "rejected" ? 0.35 : 1;
    draw.fillStyle = colour[`${event.kind}Fill`];
    draw.fillRect(on, y, off1 - on, high);
    draw.fillStyle = colour.ink;
    draw.fillRect(apex - 1, y, 2, high);
    const sign = { rejected: "✕", unsure: "?", macro: "✓", micro: "✓" }[event.verdict];
    draw.textAlign = "left";
    if (off1 - on > 16 && sign) draw.fillText(sign, on + 4, y + high / 2 + 1);
    draw.globalAlpha = 1;
    if (chosen) box(draw, colour.focus, on - 2, y - 2, off1 - on + 4, high + 4);
  }

  label(draw, colour, rows, label) {
    const [on, at, off] = this.span(label).map((t) => this.x(t)), y = rows.labels + 4, high = LABELS - 8;
    const fill = colour[`${label.kind}Fill`] ?? colour.shade, ink = colour[label.kind] ?? colour.unsure;
    const chosen = this.shown.selected.id === label.id;
    if (label.onset !== null) {
      draw.fillStyle = fill;
      draw.globalAlpha = label.kind === "rejected" ? 0.35 : 0.75;
      draw.fillRect(on, y, Math.max(2, off - on), high);
      draw.globalAlpha = 1;
      draw.setLineDash(label.kind in { unsure: 1, rejected: 1 } ? [3, 3] : []);
      box(draw, chosen ? colour.focus : ink, on, y, Math.max(2, off - on), high, chosen ? 3 : 1);
      draw.setLineDash([]);
    }
    draw.strokeStyle = ink;
    draw.lineWidth = 2;
    line(draw, at, y, at, y + high);
    draw.fillStyle = chosen && label.onset === null ? colour.focus : ink;
    draw.beginPath();
    draw.arc(at, y + high / 2, 8, 0, 7);
    draw.fill();
    draw.fillStyle = colour.panel;
    draw.textAlign = "center";
    draw.fillText(SIGNS[label.kind], at, y + high / 2 + 1);
  }

  names(draw, colour, rows) {
    draw.fillStyle = colour.panel;
    draw.fillRect(0, 0, LEFT - 1, rows.height);
    draw.textAlign = "right";
    draw.fillStyle = colour.ink;
    const put = (name, y) => draw.fillText(name, LEFT - 8, y);
    put("intensity", (rows.curve + rows.events) / 2);
    put("events", rows.events + EVENTS / 2);
    put("labels", rows.labels + LABELS / 2);
    draw.fillStyle = colour.faint;
    const groups = this.groups(), high = (rows.height - rows.motion - 4) / Math.max(1, groups.length);
    if (this.shown.hidden || !groups.length) put(this.shown.hidden ? "hidden (h)" : "motion", (rows.motion + rows.height) / 2);
    else {
      draw.font = `${Math.max(9, Math.min(12, high))}px system-ui, 'DejaVu Sans', sans-serif`;
      groups.forEach(([name], row) => put(name, rows.motion + 3 + (row + 0.5) * high));
    }
    draw.strokeStyle = colour.line;
    draw.lineWidth = 1;
    for (const y of [rows.curve, rows.events, rows.labels, rows.motion]) line(draw, 0, y - 0.5, LEFT + this.width, y - 0.5);
  }
}

/** The label with one of its marks at a frame, or all of it so many frames further on, within the frames up to the last. */
export function moved(label, part, number, by, last) {
  let { onset, point, offset } = label;
  if (part === "all" || onset === null) {
    const step = part === "all" ? by : number - point, inside = Math.max(-(onset ?? point), Math.min(step, last - (offset ?? point)));
    [onset, point, offset] = [onset, point, offset].map((n) => (n === null ? null : n + inside));
    return { ...label, onset, point, offset };
  }
  number = Math.min(number, last);
  if (part === "point") point = Math.min(Math.max(number, onset), offset);
  if (part === "onset") { onset = Math.max(0, number); offset = Math.max(offset, onset); }
  if (part === "offset") { offset = Math.max(0, number); onset = Math.min(onset, offset); }
  return { ...label, onset, offset, point: Math.min(Math.max(point, onset), offset) };
}

function drawn(from, to, seconds) {
  const onset = Math.min(from, to), offset = Math.max(from, to);
  const kind = seconds(onset, offset) > 0.5 ? "macro" : "micro";
  return { id: crypto.randomUUID(), kind, onset, offset, point: Math.round((onset + offset) / 2) };
}

export function clock(seconds, digits) {
  const whole = Math.max(0, Math.round(seconds * 10 ** digits) / 10 ** digits), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const rest = (whole % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

function line(draw, x0, y0, x1, y1) {
  draw.beginPath();
  draw.moveTo(x0, y0);
  draw.lineTo(x1, y1);
  draw.stroke();
}

function box(draw, style, x, y, width, height, thick = 2) {
  draw.strokeStyle = style;
  draw.lineWidth = thick;
  draw.strokeRect(x, y, width, height);
}
