// A drawn face whose regions move as they were measured; it shows nobody.

// Where the regions are on nobody's face, in inter-ocular distances from the middle of the eyes.
const HALF = {
  brow_outer: [0.82, -0.26], brow_mid: [0.58, -0.4], brow_inner: [0.24, -0.32], lid: [0.5, -0.09], cheek: [0.66, 0.55],
  nostril: [0.17, 0.6], mouth_corner: [0.4, 1.02],
};
const PLACES = { lip_upper: [0, 0.93], lip_lower: [0, 1.15], chin: [0, 1.55] };
for (const [name, [x, y]] of Object.entries(HALF)) {
  for (const side of ["left", "right"]) {
    const full = name.startsWith("brow_") ? name.replace("brow_", `brow_${side}_`) : `${name}_${side}`;
    PLACES[full] = [side === "left" ? -x : x, y];
  }
}
const GAIN = 2;
const SECONDS = 20;

export class Face {
  constructor(canvas, address, colours) {
    Object.assign(this, { canvas, address, colours });
    this.chunks = new Map();
  }

  /** Draws the face at a time; what is not here yet is fetched, up to the time that is known. */
  draw(time, known, hidden) {
    const chunk = Math.floor(time / SECONDS), here = this.chunks.get(chunk);
    const whole = known >= (chunk + 1) * SECONDS;
    if (!here || (!here.whole && !here.asking && known > here.known + 0.5)) this.fetch(chunk, known, whole, () => this.draw(time, known, hidden));
    const pose = here?.poses?.[Math.round(time * 30) - here.tick];
    this.paint(hidden ? {} : this.places(here?.names ?? [], pose), hidden ? "hidden" : pose ? "" : time > known ? "not analysed yet" : "no face");
  }

  async fetch(chunk, known, whole, then) {
    const before = this.chunks.get(chunk) ?? { poses: [], tick: 0, names: [] };
    this.chunks.set(chunk, { ...before, known, whole, asking: true });
    try {
      const answer = await fetch(`${this.address}?start=${chunk * SECONDS}&end=${(chunk + 1) * SECONDS}`);
      this.chunks.set(chunk, answer.ok ? { ...(await answer.json()), known, whole } : { ...before, known: -1 });
      if (answer.ok) then();
    } catch { this.chunks.delete(chunk); }
  }

  places(names, pose) {
    const places = {};
    names.forEach((name, i) => {
      const [x, y] = PLACES[name] ?? [0, 0];
      const [dx, dy] = pose ? [pose[2 * i] / 1000, pose[2 * i + 1] / 1000] : [0, 0];
      places[name] = { x: x + GAIN * dx, y: y + GAIN * dy, moved: Math.hypot(dx, dy) };
    });
    return places;
  }

  paint(places, note) {
    const ratio = devicePixelRatio, width = this.canvas.clientWidth * ratio, height = this.canvas.clientHeight * ratio;
    if (this.canvas.width !== Math.round(width) || this.canvas.height !== Math.round(height)) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const draw = this.canvas.getContext("2d"), unit = Math.min(width / 2.7, height / 3.5), colour = this.colours();
    draw.setTransform(1, 0, 0, 1, 0, 0);
    draw.clearRect(0, 0, width, height);
    draw.font = `${12 * ratio}px system-ui, sans-serif`;
    draw.fillStyle = colour.faint;
    draw.fillText(note || `movement × ${GAIN}`, 8 * ratio, height - 8 * ratio);
    draw.setTransform(unit, 0, 0, unit, width / 2, height * 0.36);
    draw.lineCap = draw.lineJoin = "round";
    const at = (name) => places[name] ?? { x: (PLACES[name] ?? [0, 0])[0], y: (PLACES[name] ?? [0, 0])[1], moved: 0 };
    const path = (points, closed, style, thick) => {
      draw.beginPath();
      points.forEach(({ x, y }, i) => (i ? draw.lineTo(x, y) : draw.moveTo(x, y)));
      if (closed) draw.closePath();
      draw.strokeStyle = style;
      draw.lineWidth = thick;
      draw.stroke();
    };
    const chin = at("chin");
    draw.beginPath();
    draw.moveTo(-1.08, -0.1);
    draw.bezierCurveTo(-1.1, -1.4, 1.1, -1.4, 1.08, -0.1);
    draw.bezierCurveTo(1.08, 0.9, 0.6, chin.y + 0.25, chin.x, chin.y + 0.22);
    draw.bezierCurveTo(-0.6, chin.y + 0.25, -1.08, 0.9, -1.08, -0.1);
    draw.strokeStyle = colour.faint;
    draw.lineWidth = 0.02;
    draw.stroke();
    for (const [side, sign] of [["left", -1], ["right", 1]]) {
      path(["outer", "mid", "inner"].map((part) => at(`brow_${side}_${part}`)), false, colour.ink, 0.06);
      const lid = at(`lid_${side}`);
      path([{ x: sign * 0.72, y: 0.02 }, lid, { x: sign * 0.28, y: 0.03 }, { x: sign * 0.5, y: 0.1 }], true, colour.ink, 0.03);
      path([{ x: sign * 0.07, y: 0.1 }, at(`nostril_${side}`), { x: 0, y: 0.68 }], false, colour.faint, 0.025);
    }
    const mouth = ["mouth_corner_left", "lip_upper", "mouth_corner_right", "lip_lower"].map(at);
    path(mouth, true, colour.ink, 0.04);
    for (const [name, { x, y, moved }] of Object.entries(places)) {
      const strength = Math.min(1, moved / 0.08);
      draw.beginPath();
      draw.arc(x, y, 0.025 + 0.06 * strength, 0, 7);
      draw.fillStyle = strength > 0.15 ? `rgba(${colour.heat}, ${0.3 + 0.7 * strength})` : colour.faint;
      draw.fill();
      if (strength > 0.15) path([{ x: PLACES[name]?.[0] ?? 0, y: PLACES[name]?.[1] ?? 0 }, { x, y }], false, colour.cursor, 0.02);
    }
  }
}
