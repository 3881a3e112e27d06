/** Functions of WGSL that kernels share, with errors that float32 allows. */

/**
 * erf by Abramowitz and Stegun 7.1.26 (error below 1.5e-7); tanh, expm1 and log1p by series where a
 * difference would lose digits; sines by series after π/2 was taken off in three parts, since WGSL
 * promises 2⁻¹¹ of its own.
 */
export const MATHS = `
fn erf_of(x: f32) -> f32 {
  let a = abs(x);
  let t = 1.0 / (1.0 + 0.3275911 * a);
  let tail = t * (1.421413741 + t * (-1.453152027 + t * 1.061405429));
  let sum = t * (0.254829592 + t * (-0.284496736 + tail));
  let y = 1.0 - sum * exp(-a * a);
  return select(y, -y, x < 0.0);
}
fn tanh_of(x: f32) -> f32 {
  let a = abs(x);
  let s = x * x;
  let e = exp(-2.0 * a);
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
fn sigmoid_of(x: f32) -> f32 { return 1.0 / (1.0 + exp(-x)); }
fn expm1_of(x: f32) -> f32 {
  let tail = 1.0 + x / 5.0 * (1.0 + x / 6.0 * (1.0 + x / 7.0 * (1.0 + x / 8.0)));
  let near = x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * tail)));
  return select(exp(x) - 1.0, near, abs(x) < 0.5);
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
