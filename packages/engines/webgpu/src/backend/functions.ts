/** Functions of WGSL that kernels share, with errors that float32 allows. */

/**
 * exp(x) = 2ⁿ·exp(r), r = x − n·ln 2 in two parts, by the series to r⁷: within two units of float32, where
 * drivers are allowed (and take) twenty.
 */
export const EXP = `
fn exp_of(x: f32) -> f32 {
  if ((bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u) { return x; }
  let inside = clamp(x, -104.0, 89.0);
  let n = round(inside * 1.44269504);
  let r = (inside - n * 0.693145752) - n * 1.42860677e-6;
  let high = 0.041666668 + r * (0.008333334 + r * (0.0013888889 + r * 0.0001984127));
  let p = 1.0 + (r + r * r * (0.5 + r * (0.16666667 + r * high)));
  let half = i32(n) / 2; // 2ⁿ in two factors, of which each is a normal number
  return p * bitcast<f32>((half + 127) << 23u) * bitcast<f32>((i32(n) - half + 127) << 23u);
}
`;

/**
 * erf by its series below 1, beyond by the fit of erfc in Numerical Recipes (erfcc, 1.2e-7 of erfc);
 * tanh, expm1 and log1p by series where a difference would lose digits; sines by series after π/2
 * was taken off in three parts, since WGSL promises 2⁻¹¹ of its own.
 */
export const MATHS = `${EXP}
fn erf_of(x: f32) -> f32 {
  let a = abs(x);
  if (a < 1.0) {
    let s = x * x;
    let highest = -0.0000149256504 + s * (0.00000164621144 + s * (-1.63658447e-7 + s * (1.48071928e-8)));
    let high = -0.000854832702 + s * (0.00012055333 + s * (highest));
    return x * (1.12837917 + s * (-0.376126389 + s * (0.112837917 + s * (-0.0268661706 + s * (0.00522397763 + s * (high))))));
  }
  let t = 1.0 / (1.0 + 0.5 * a);
  let high = 0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * (0.17087277))));
  let power = t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + t * (high)))));
  let y = 1.0 - t * exp_of(-1.26551223 + power - a * a);
  return select(y, -y, x < 0.0);
}
fn tanh_of(x: f32) -> f32 {
  let a = abs(x);
  let s = x * x;
  let e = exp_of(-2.0 * a);
  let far = (1.0 - e) / (1.0 + e);
  let near = x * (1.0 + s * (-0.33333334 + s * (0.13333334 + s * (-0.053968254))));
  return select(select(far, -far, x < 0.0), near, a < 0.2);
}
fn sine_of(x: f32, quarters: i32) -> f32 {
  let n = round(x * 0.63661977);
  let r = ((x - n * 1.5703125) - n * 4.837512969970703e-4) - n * 7.549789954891882e-8;
  let s = r * r;
  let sine = r * (1.0 - s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0 * (1.0 - s / 72.0))));
  let tail = 1.0 - s / 30.0 * (1.0 - s / 56.0 * (1.0 - s / 90.0));
  let cosine = 1.0 - s / 2.0 * (1.0 - s / 12.0 * tail);
  let quadrant = (i32(n) + quarters) & 3;
  let value = select(sine, cosine, (quadrant & 1) == 1);
  return select(value, -value, quadrant >= 2);
}
fn sigmoid_of(x: f32) -> f32 { return 1.0 / (1.0 + exp_of(-x)); }
fn expm1_of(x: f32) -> f32 {
  let tail = 1.0 + x / 5.0 * (1.0 + x / 6.0 * (1.0 + x / 7.0 * (1.0 + x / 8.0)));
  let near = x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * tail)));
  return select(exp_of(x) - 1.0, near, abs(x) < 0.5);
}
fn log1p_of(x: f32) -> f32 {
  let s = x / (2.0 + x);
  let q = s * s;
  let near = 2.0 * s * (1.0 + q * (0.33333334 + q * (0.2 + q * (0.14285715 + q * 0.11111111))));
  return select(log(1.0 + x), near, abs(x) < 0.5);
}
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn power_of(x: f32, y: f32) -> f32 {
  if (y == 0.0) { return 1.0; }
  if (y == 1.0) { return x; }
  if (y == 2.0) { return x * x; }
  let size = pow(abs(x), y);
  if (x >= 0.0 || y != floor(y)) { return select(size, (x - x) / (x - x), x < 0.0); }
  return select(size, -size, abs(y) % 2.0 == 1.0);
}
`;
