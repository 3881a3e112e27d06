/** WGSL for sums over a row that 64 threads share: thread t takes every 64th element from t on. */

/** Threads of a workgroup that has one row. */
export const ROW_THREADS = 64;

/** Declares what {@link totalText} needs. */
export const ROW_PARTS = `var<workgroup> parts: array<f32, ${ROW_THREADS}>;`;

/** Joins `value` of all threads by `join` of a and b, and leaves the result in `value` of each. */
export const totalText = (value: string, join = 'a + b'): string => `
  parts[local] = ${value};
  for (var half = ${ROW_THREADS / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) { let a = parts[local]; let b = parts[local + half]; parts[local] = ${join}; }
  }
  workgroupBarrier();
  ${value} = parts[0];
  workgroupBarrier();`;

/** Begins a kernel of one row a workgroup: `row`, `first`, and `end`, 0 beyond the last row. */
export const ROW_START = `
  let row = group.y * groups.x + group.x;
  let first = row * width;
  let end = select(0u, width, row < rows);`;

/** Runs statements for each of the thread's columns, `at` being the element. */
export const overRow = (body: string): string =>
  `for (var column = local; column < end; column += ${ROW_THREADS}u) { let at = first + column; ${body} }`;
