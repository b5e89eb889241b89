// The frames of an item: their numbers and times as far as they are known, and by the nominal rate beyond.

export class Frames {
  constructor(fps) {
    this.fps = fps;
    this.numbers = new Float64Array(0);
    this.times = new Float64Array(0);
  }

  /** Takes pairs of number and time that follow those known. */
  append(pairs) {
    const more = pairs.length / 2, known = this.numbers.length;
    const numbers = new Float64Array(known + more), times = new Float64Array(known + more);
    numbers.set(this.numbers);
    times.set(this.times);
    for (let i = 0; i < more; i++) {
      numbers[known + i] = pairs[2 * i];
      times[known + i] = pairs[2 * i + 1];
    }
    this.numbers = numbers;
    this.times = times;
  }

  get length() { return this.numbers.length; }

  /** Number of the frame on show at a time in seconds. */
  numberAt(time) {
    const last = this.length - 1;
    if (last < 0) return Math.max(0, Math.floor(time * this.fps + 1e-6));
    if (time > this.times[last]) return this.numbers[last] + Math.floor((time - this.times[last]) * this.fps + 1e-6);
    return this.numbers[Math.max(0, upper(this.times, time + 1e-6) - 1)];
  }

  /** Time in seconds at which a frame begins to show. */
  timeOf(number) {
    const last = this.length - 1;
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
    const last = this.length - 1;
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
