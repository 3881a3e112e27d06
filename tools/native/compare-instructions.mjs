/**
 * Compares what two sets of instructions compute, over random calls of every function: `node
 * tools/native/compare-instructions.mjs [--calls 5000] [--seed 1] [--isa NAME] [--with portable]`.
 *
 * The same arguments go to both; outputs must agree within 2e-4, relative to 1 + |value|.
 */
import { parseArgs } from 'node:util';
import { callOf } from './fuzz-calls.mjs';
import { loadAddon } from './fuzz-signatures.mjs';

const native = loadAddon();
const { values: options } = parseArgs({
  options: {
    calls: { type: 'string', default: '5000' },
    seed: { type: 'string', default: '1' },
    isa: { type: 'string', default: native.info().instructionSet },
    with: { type: 'string', default: 'portable' },
  },
});
const TOLERANCE = 2e-4;
/** They set what holds for the process, or make memory that was never written. */
const LEFT_OUT = ['setInstructionSet', 'setThreads', 'allocate', 'discard'];

/** Runs a call with one set; its arrays afterwards, or undefined where it was refused. */
function run(index, set) {
  native.setInstructionSet(set);
  const { name, args } = callOf(native, Number(options.seed), index);
  if (LEFT_OUT.includes(name)) return undefined;
  try {
    const result = native[name](...args);
    const arrays = args.flat().filter((value) => ArrayBuffer.isView(value));
    return { name, arrays: [...arrays, Float64Array.of(Number(result ?? 0))] };
  } catch {
    return undefined;
  }
}

function distance(a, b) {
  let worst = 0;
  for (let i = 0; i < a.length; i += 1) {
    if (Object.is(a[i], b[i]) || a[i] === b[i]) continue;
    const difference = Math.abs(a[i] - b[i]) / (1 + Math.abs(b[i]));
    worst = Math.max(worst, Number.isNaN(difference) ? Infinity : difference);
  }
  return worst;
}

let compared = 0;
const differing = [];
for (let index = 0; index < Number(options.calls); index += 1) {
  const [first, second] = [run(index, options.isa), run(index, options.with)];
  if (!first || !second) continue;
  compared += 1;
  const worst = Math.max(...first.arrays.map((array, i) => distance(array, second.arrays[i])));
  if (worst > TOLERANCE) differing.push(`call ${index} of ${first.name} by ${worst}`);
}
for (const line of differing.slice(0, 20)) console.error(`compare-instructions: ${line}`);
console.log(
  `compare-instructions: ${options.isa} and ${options.with} on ${process.arch}: ` +
    `${compared} calls, ${differing.length} differ`,
);
process.exit(differing.length > 0 ? 1 : 0);
