// The frames of an item: numbers and times as far as they are known, as its container says beyond, else by the nominal rate.

const LEAST = 1e-4; // seconds by which a time of the container may differ from that of its frame

export class Frames {
  constructor(fps) {
    this.fps = fps;
    this.length = 0; // frames known; what is behind them is the container's account
    this.numbers = new Float64Array(0);
    this.times = new Float64Array(0);
    this.stamps = new Float64Array(0);
  }

  /** Takes pairs of number and time from the `first` known on; those of them that came meanwhile are not taken twice. */
  append(pairs, first) {
    pairs = pairs.subarray(2 * (this.length - first));
    const known = this.length + pairs.length / 2;
    const numbers = new Float64Array(known), times = new Float64Array(known);
    numbers.set(this.numbers.subarray(0, this.length));
    times.set(this.times.subarray(0, this.length));
    for (let i = this.length, j = 0; i < known; i++) {
      numbers[i] = pairs[j++];
      times[i] = pairs[j++];
    }
    this.lay(numbers, times);
  }

  /** Takes the times of all pictures as the container says. */
  foresee(stamps) {
    this.stamps = stamps;
    this.lay(this.numbers.subarray(0, this.length), this.times.subarray(0, this.length));
  }

  /** Lays what is known, and behind it the pictures that the container has later. */
  lay(numbers, times) {
    const known = this.length = numbers.length, from = known ? upper(this.stamps, times[known - 1] + LEAST) : 0;
    const first = known ? numbers[known - 1] + 1 : 0, all = known + this.stamps.length - from;
    this.numbers = new Float64Array(all);
    this.times = new Float64Array(all);
    this.numbers.set(numbers);
    this.times.set(times);
    this.times.set(this.stamps.subarray(from), known);
    for (let i = known; i < all; i++) this.numbers[i] = first + i - known;
  }

  /** Number of the frame on show at a time in seconds. */
  numberAt(time) {
    const last = this.numbers.length - 1;
    if (last < 0) return Math.max(0, Math.floor(time * this.fps + 1e-6));
    if (time > this.times[last]) return this.numbers[last] + Math.floor((time - this.times[last]) * this.fps + 1e-6);
    return this.numbers[Math.max(0, upper(this.times, time + 1e-6) - 1)];
  }

  /** Time in seconds at which a frame begins to show. */
  timeOf(number) {
    const last = this.numbers.length - 1;
    if (last < 0) return number / this.fps;
    if (number > this.numbers[last]) return this.times[last] + (number - this.numbers[last]) / this.fps;
    return this.times[Math.max(0, upper(this.numbers, number) - 1)];
  }

  /** How long a frame shows, in seconds. */
  lasts(number) {
    return Math.max(1e-4, this.timeOf(this.next(number, 1)) - this.timeOf(number)) || 1 / this.fps;
  }

  /** Number of the frame so many further on. */
  next(number, steps) {
    const last = this.numbers.length - 1;
    if (last < 0 || number > this.numbers[last]) return Math.max(0, number + steps);
    const place = Math.max(0, upper(this.numbers, number) - 1) + steps;
    return place > last ? this.numbers[last] + place - last : this.numbers[Math.max(0, place)];
  }
}

function upper(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= value) low = middle + 1; else high = middle;
  }
  return low;
}
