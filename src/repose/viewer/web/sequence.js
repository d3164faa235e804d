// Values over time, as in repose/sequence.py: a list of rows, one Float64Array for each frame.

/** To the nearest whole number; halves to the even one, as NumPy and Python round. */
export function round(value) {
  const low = Math.floor(value), share = value - low;
  if (share !== 0.5) return Math.round(value);
  return low % 2 ? low + 1 : low;
}

export function median(values) {
  const sorted = Float64Array.from(values).sort(), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The value below which a share of the values lies, interpolated linearly. */
export function percentile(values, share) {
  const sorted = Float64Array.from(values).sort(), at = share * (sorted.length - 1), low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}

const mix = (a, b, share) => a.map((value, i) => value + share * (b[i] - value));

/** Fractional indices of `at` among increasing `places`; the ends are held. */
export function indices(at, places) {
  let low = 0;
  return Array.from(at, (place) => {
    if (place <= places[0]) return 0;
    while (low > 0 && places[low] > place) low--;
    while (low < places.length - 1 && places[low + 1] <= place) low++;
    if (low >= places.length - 1) return places.length - 1;
    return low + (place - places[low]) / (places[low + 1] - places[low]);
  });
}

/** Rows at fractional frames, linear between the two around. */
export function interpolateLinear(rows, at) {
  return at.map((place) => {
    const low = Math.min(Math.floor(place), Math.max(rows.length - 2, 0));
    return mix(rows[low], rows[Math.min(low + 1, rows.length - 1)], place - low);
  });
}

/** Rows at fractional frames by a cubic through the four around (Catmull-Rom); parabolas at the ends. */
export function interpolate(rows, at) {
  const last = rows.length - 1;
  if (last < 2) return interpolateLinear(rows, at);
  const slope = (i, k) => {
    if (i === 0) return (-3 * rows[0][k] + 4 * rows[1][k] - rows[2][k]) / 2;
    if (i === last) return (3 * rows[last][k] - 4 * rows[last - 1][k] + rows[last - 2][k]) / 2;
    return (rows[i + 1][k] - rows[i - 1][k]) / 2;
  };
  return at.map((place) => {
    const low = Math.min(Math.max(Math.floor(place), 0), last - 1), t = place - low;
    if (t === 0) return rows[low];
    return rows[low].map((a, k) => {
      const b = rows[low + 1][k], da = slope(low, k), db = slope(low + 1, k);
      return a + t * (da + t * (3 * (b - a) - 2 * da - db + t * (2 * (a - b) + da + db)));
    });
  });
}

/** Non-negative rows at fractional frames, linear in their logarithms. */
export function interpolatePositive(rows, at) {
  return at.map((place) => {
    const low = Math.min(Math.floor(place), Math.max(rows.length - 2, 0)), share = place - low;
    const after = rows[Math.min(low + 1, rows.length - 1)];
    return rows[low].map((value, k) => value ** (1 - share) * after[k] ** share);
  });
}

/** Keep frequencies below `ratio` of half the rate: a windowed sinc; ends continue point-mirrored. */
export function lowPass(rows, ratio) {
  const last = rows.length - 1, half = Math.min(Math.ceil(4 / ratio), last);
  if (half < 1) return rows;
  const kernel = Float64Array.from({ length: 2 * half + 1 }, (_, i) => {
    const tap = i - half, angle = Math.PI * tap * ratio;
    return (angle === 0 ? 1 : Math.sin(angle) / angle) * Math.cos((Math.PI * tap) / (2 * half + 2)) ** 2;
  });
  const sum = kernel.reduce((a, b) => a + b);
  const value = (i, k) => {
    if (i < 0) return 2 * rows[0][k] - rows[-i][k];
    return i > last ? 2 * rows[last][k] - rows[2 * last - i][k] : rows[i][k];
  };
  return rows.map((row, frame) => row.map((_, k) => {
    let total = 0;
    for (let i = 0; i < kernel.length; i++) total += kernel[i] * value(frame + i - half, k);
    return total / sum;
  }));
}

/** Fill rows where `known` is false, linear in time between those around; the ends are held. */
export function fillGaps(rows, known, times = rows.map((_, frame) => frame)) {
  const there = rows.flatMap((_, frame) => (known[frame] ? [frame] : []));
  if (there.length === 0) return rows;
  const at = indices(times, there.map((frame) => times[frame]));
  const filled = interpolateLinear(there.map((frame) => rows[frame]), at);
  return rows.map((row, frame) => (known[frame] ? row : filled[frame]));
}

/** Resample points and confidence to a model's rate; `at` says where the frames lie among its steps. */
export function toRate(points, confidence, times, rate) {
  const count = times.length, span = (times[count - 1] - times[0]) * rate;
  const at = times.map((_, frame) => frame);
  const off = (time, i) => Math.abs((time - times[0]) * rate - (i / Math.max(count - 1, 1)) * span);
  const uneven = times.reduce((most, time, i) => Math.max(most, off(time, i)), 0);
  if (count === 1 || (Math.abs(span / (count - 1) - 1) < 0.02 && uneven < 0.1)) return { points, confidence, at };
  const steps = Math.max(round(span), 1), ratio = steps / (count - 1), length = times[count - 1] - times[0];
  const sources = indices(Array.from({ length: steps + 1 }, (_, i) => times[0] + (i / steps) * length), times);
  return {
    points: interpolate(ratio < 1 ? lowPass(points, ratio) : points, sources),
    // A joint counts as seen where the nearest frame has it.
    confidence: sources.map((source) => confidence[round(source)]),
    at: times.map((time) => ((time - times[0]) / length) * steps),
  };
}
