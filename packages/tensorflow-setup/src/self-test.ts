/**
 * Loads the compiled addons in a process of its own and computes with them, so that a crash harms
 * nobody.
 */
import { PeftError } from '@peft/errors';
import { loadError } from '@peft/tensorflow';
import { lastLines, runCommand } from './run-command.js';

export interface SelfTestResult {
  /** TensorFlow's version as the library says it. */
  readonly version: string;
  readonly isGpu: boolean;
  /** Whether products in bfloat16 came out right. */
  readonly bfloat16: boolean;
}

/**
 * Runs in a bare Node: 64×64 products of ones in float32 and bfloat16, each element of which is 64,
 * and with the engine's kernels relu of −1 and 2.
 */
const SCRIPT = `
const b = require(process.argv[1]);
const type = (name, value) => ({ name, type: b.TF_ATTR_TYPE, value });
const flag = (name) => ({ name, type: b.TF_ATTR_BOOL, value: false });
const run = (name, attributes, inputs) => b.executeOp(name, attributes, inputs, 1)[0].id;
const cast = (id, from, to) => (from === to ? id : run('Cast', [type('SrcT', from), type('DstT', to), flag('Truncate')], [id]));
const right = (t) => {
  const x = cast(b.createTensor([64, 64], 1, new Float32Array(4096).fill(1)), 1, t);
  const y = cast(run('MatMul', [type('T', t), flag('transpose_a'), flag('transpose_b')], [x, x]), t, 1);
  return b.tensorDataSync(y).every((value) => value === 64);
};
if (!right(1)) throw new Error('a float32 product came out wrong');
let bfloat16 = false;
try { bfloat16 = right(14); } catch {}
require(process.argv[2]).register(1);
const kind = { name: 'kind', type: b.TF_ATTR_STRING, value: 'relu' };
const relu = () => b.tensorDataSync(run('PeftActivation', [kind], [b.createTensor([2], 1, Float32Array.of(-1, 2))]));
if (!b.isUsingGpuDevice() && relu().join() !== '0,2') throw new Error('a kernel of the engine computed wrong');
console.log(JSON.stringify({ version: b.TF_Version, isGpu: b.isUsingGpuDevice(), bfloat16 }));
`;

/** @throws PEFT_SETUP_SELF_TEST, and what loading the addon throws */
export async function selfTest(
  binding: string,
  kernels: string,
  signal?: AbortSignal,
): Promise<SelfTestResult> {
  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: '1', TF_FORCE_GPU_ALLOW_GROWTH: 'true' };
  const { status, stdout, output } = await runCommand(
    process.execPath,
    ['-e', SCRIPT, binding, kernels],
    { env, signal },
  );
  if (status === 0) return JSON.parse(stdout.trim().split('\n').at(-1)!) as SelfTestResult;
  const [, reason] = /^Error: (.*)$/m.exec(output) ?? [];
  if (reason && /cannot open shared object|Library not loaded|GLIBC/.test(reason))
    throw loadError(binding, new Error(reason));
  throw new PeftError(
    'PEFT_SETUP_SELF_TEST',
    `setup: the compiled library does not work here${status === null ? ' (it crashed)' : ''}:\n${lastLines(output)}`,
    { hint: 'try another TensorFlow with --tensorflow; what was set up before is still in use' },
  );
}
