// What shows the pictures and keeps the time: the browser's own player, single pictures, or a clock alone.

/** The browser's player. A frame is shown by seeking to its middle; while it plays, the browser says which is on show. */
export class VideoPlayer {
  constructor(video, address, frames, moved, drawn, failed) {
    Object.assign(this, { video, frames, moved, drawn });
    this.origin = 0;
    this.first = true;
    this.wanted = null;
    this.abort = new AbortController();
    const heard = { signal: this.abort.signal };
    video.addEventListener("error", () => failed(), heard);
    video.addEventListener("play", () => moved(), heard);
    video.addEventListener("pause", () => moved(), heard);
    video.addEventListener("seeked", () => { this.seeking = false; if (this.wanted !== null) this.seek(this.wanted); }, heard);
    video.src = address;
    video.hidden = false;
    this.watch();
  }

  get playing() { return !this.video.paused && !this.video.ended; }

  watch() {
    if (!this.video.requestVideoFrameCallback) {
      this.timer = setInterval(() => this.playing && this.moved(this.video.currentTime), 15);
      return;
    }
    this.video.requestVideoFrameCallback((_, shown) => {
      if (this.abort.signal.aborted) return;
      if (this.first && this.target === 0) this.origin = shown.mediaTime; // of the first picture: some begin later than 0
      this.first = false;
      this.shown = this.frames.numberAt(shown.mediaTime - this.origin + 1e-3);
      if (this.playing) this.moved(shown.mediaTime - this.origin + 1e-3); else this.drawn();
      this.watch();
    });
  }

  seek(number) {
    this.target = this.wanted = number;
    if (this.seeking) return;
    this.wanted = null;
    this.seeking = true;
    this.video.currentTime = this.origin + this.frames.timeOf(number) + this.frames.lasts(number) / 2;
  }

  play(rate) { this.video.playbackRate = rate; this.video.play().catch(() => {}); }
  pause() { this.video.pause(); }
  rate(rate) { this.video.playbackRate = rate; }

  close() {
    this.abort.abort();
    clearInterval(this.timer);
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load();
    this.video.hidden = true;
  }
}

const KEPT = 90, AHEAD = 12;

/** A clock that shows single pictures, or nothing where there is no canvas; it waits for pictures that are late. */
export class ClockPlayer {
  constructor(canvas, address, frames, moved, end, last, said) {
    Object.assign(this, { canvas, address, frames, moved, end, last, said });
    this.pictures = new Map();
    this.time = 0;
    this.playing = false;
    if (canvas) { canvas.hidden = false; this.seek(0); }
  }

  seek(number) {
    this.time = this.frames.timeOf(number);
    this.show(number);
  }

  play(rate) {
    if (this.playing) return;
    this.speed = rate;
    this.playing = true;
    let before = performance.now();
    const tick = (now) => {
      if (!this.playing) return;
      const number = this.frames.numberAt(this.time), after = this.time + (now - before) / 1000 * this.speed;
      before = now;
      if (!this.canvas || this.pictures.get(number)?.width) this.time = after;
      if (this.time >= this.end()) { this.time = this.end(); this.pause(); }
      this.show(this.frames.numberAt(this.time));
      this.moved(this.time);
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
    this.moved(this.time);
  }

  pause() { this.playing = false; this.moved(); }
  rate(rate) { this.speed = rate; }

  show(number) {
    this.shown = number;
    if (!this.canvas) return;
    const picture = this.pictures.get(number);
    if (picture?.width) this.draw(picture, number);
    for (let n = number, i = 0; i < (this.playing ? AHEAD : 3) && n <= this.last(); i++, n = this.frames.next(n, 1)) this.fetch(n);
  }

  async fetch(number) {
    if (this.pictures.has(number)) return;
    const known = number <= (this.frames.numbers[this.frames.length - 1] ?? -1);
    this.pictures.set(number, {});
    while (this.pictures.size > KEPT) {
      const [oldest, picture] = this.pictures.entries().next().value;
      picture.close?.();
      this.pictures.delete(oldest);
    }
    try {
      const query = `frame=${number}` + (known ? `&time=${this.frames.timeOf(number)}` : "");
      const answer = await fetch(`${this.address}?${query}`);
      if (!answer.ok) throw new Error((await answer.json()).error);
      const picture = await createImageBitmap(await answer.blob());
      if (!this.pictures.has(number)) { picture.close(); return; }
      this.pictures.set(number, picture);
      if (number === this.shown) this.draw(picture, number);
    } catch (error) {
      this.pictures.delete(number);
      if (number === this.shown) this.said(error.message);
    }
  }

  draw(picture, number) {
    if (this.canvas.width !== picture.width || this.canvas.height !== picture.height) {
      this.canvas.width = picture.width;
      this.canvas.height = picture.height;
    }
    this.canvas.getContext("2d").drawImage(picture, 0, 0);
    this.canvas.dataset.frame = number;
  }

  close() {
    this.playing = false;
    for (const picture of this.pictures.values()) picture.close?.();
    this.pictures.clear();
    if (this.canvas) this.canvas.hidden = true;
  }
}
