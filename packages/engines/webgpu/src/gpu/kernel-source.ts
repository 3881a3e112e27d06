/** A compute kernel, and the WGSL around its body. */

/** What a kernel reads and writes, and what it does. */
export interface KernelSource {
  /** Names one kernel of the process: equal names have equal sources. */
  readonly name: string;
  /** Buffers that are read, `x` or `x: u32`; float32 without a type. */
  readonly inputs: readonly string[];
  /** Buffers that are written, and may be read. */
  readonly outputs: readonly string[];
  /** Whole numbers by name, at most 48; in the body and, as `p_name()`, in its functions. */
  readonly counts?: readonly string[];
  /** Numbers by name, at most 16. */
  readonly numbers?: readonly string[];
  /** Functions and workgroup variables before the body. */
  readonly declarations?: string;
  /** Threads of a workgroup. Default 256. */
  readonly threads?: number;
  /**
   * WGSL with `group` (workgroup_id), `groups` (num_workgroups), `local` (the thread in its group)
   * and `index` (the thread in the grid, x before y).
   */
  readonly body: string;
}

export const DEFAULT_THREADS = 256;
/** Of 32 bits each, in one uniform of 256 bytes. */
export const MOST_COUNTS = 48;
export const MOST_NUMBERS = 16;

/** The whole module, its entry point being `main`. */
export function moduleText({
  inputs,
  outputs,
  counts = [],
  numbers = [],
  declarations = '',
  threads = DEFAULT_THREADS,
  body,
}: KernelSource): string {
  const buffer = (name: string, n: number, access: string) => {
    const [label, type = 'f32'] = name.split(': ');
    return `@group(0) @binding(${n + 1}) var<storage, ${access}> ${label}: array<${type}>;`;
  };
  const parameter = (field: string, type: string) => (name: string, n: number) => ({
    name,
    type,
    value: `parameters.${field}[${n >> 2}][${n & 3}]`,
  });
  const parameters = [
    ...counts.map(parameter('counts', 'u32')),
    ...numbers.map(parameter('numbers', 'f32')),
  ];
  return [
    'struct Parameters {',
    `  counts: array<vec4<u32>, ${MOST_COUNTS / 4}>,`,
    `  numbers: array<vec4<f32>, ${MOST_NUMBERS / 4}>,`,
    '}',
    '@group(0) @binding(0) var<uniform> parameters: Parameters;',
    ...inputs.map((name, n) => buffer(name, n, 'read')),
    ...outputs.map((name, n) => buffer(name, inputs.length + n, 'read_write')),
    ...parameters.map(({ name, type, value }) => `fn p_${name}() -> ${type} { return ${value}; }`),
    declarations,
    `@compute @workgroup_size(${threads})`,
    'fn main(',
    '  @builtin(workgroup_id) group: vec3<u32>,',
    '  @builtin(num_workgroups) groups: vec3<u32>,',
    '  @builtin(local_invocation_index) local: u32,',
    ') {',
    `  let index = (group.y * groups.x + group.x) * ${threads}u + local;`,
    ...parameters.map(({ name, value }) => `  let ${name} = ${value};`),
    body,
    '}',
  ].join('\n');
}
