/**
 * What the WebGPU engine does on the card of this machine, in five minutes at most:
 * `node tools/run-source.mjs benchmarks/card.ts [--small] [--python PYTHON] [--minutes 5] [--write]`.
 *
 * The engine's contract, the golden models, and training steps of BERT-base, mDeBERTa-base and
 * Llama-3.2-1B beside PyTorch and PEFT, each in a process of its own. A part that fails or that the
 * time is up for is named, and the others go on; exit code 1 where one of ours failed. `--small`:
 * tiny shapes, on the software driver where there is no card. `--write` keeps the table in `results/`.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { useSoftwareDriver } from '../tools/test-setup/software-vulkan.js';
import { runPart, type PartOutcome } from './peers/timed-part.js';

const { values: options } = parseArgs({
  options: {
    small: { type: 'boolean', default: false },
    python: { type: 'string', default: 'python3' },
    minutes: { type: 'string', default: '5' },
    write: { type: 'boolean', default: false },
  },
});
const minutes = Number(options.minutes);
if (!(minutes > 0)) throw new Error(`--minutes must be above 0, got ${options.minutes}`);
const endMs = Date.now() + minutes * 60_000;
/** Of the contract, and of the golden models. */
const CHECK_SECONDS = 75;
/** Of the process of one side of one training step, loading included. */
const STEP_SECONDS = 40;
const SOURCE = 'tools/run-source.mjs';
const FIXTURES = 'packages/testing/fixtures';

interface StepReport {
  readonly engine: string;
  readonly tokensPerSecond: number;
  readonly secondsPerStep: number;
  readonly loss: number;
}

interface Case {
  readonly title: string;
  readonly words: readonly string[];
  /** Words of `torch_step.py` alone. */
  readonly peer: readonly string[];
}

const BF16 = ['--precision', 'bfloat16'];
const CAUSAL = '--head causal-lm --rank 16 --targets all-linear'.split(' ');

function casesOf(isSmall: boolean): readonly Case[] {
  const arch = (name: string, small: string): string[] => [
    '--arch',
    isSmall ? `${FIXTURES}/models/${small}` : name,
  ];
  const size = (batch: number, length: number): string[] =>
    isSmall ? ['--batch', '2', '--length', '16'] : ['--batch', `${batch}`, '--length', `${length}`];
  const bert = [...arch('bert-base-uncased', 'bert'), ...size(8, 128), '--rank', '8'];
  const deberta = [...arch('mdeberta-v3-base', 'deberta-v2'), ...size(8, 128), '--rank', '8'];
  const llama = [...arch('llama-3.2-1b', 'llama'), ...size(1, 512), ...CAUSAL];
  const quantized = ['--quantization', 'nf4'];
  return [
    { title: 'BERT-base, LoRA r = 8, bf16 base', words: bert, peer: BF16 },
    { title: 'mDeBERTa-base, LoRA r = 8, bf16 base', words: deberta, peer: BF16 },
    { title: 'Llama-3.2-1B, LoRA r = 16, bf16 base', words: llama, peer: BF16 },
    { title: 'Llama-3.2-1B, LoRA r = 16, NF4 base', words: [...llama, ...quantized], peer: BF16 },
  ];
}

const missing = useSoftwareDriver();
if (missing) {
  console.error(missing);
  process.exit(1);
}
const lines: string[] = [];
let hasFailed = false;

say('| part | outcome | seconds |', '|---|---|---|');
check('contract', ['npx', 'vitest', 'run', 'packages/engines/webgpu/test/contract.test.ts']);
const pattern = options.small ? '^models/(bert|llama)$' : '^models/';
const golden = ['tools/golden/run.ts', '--fixtures', FIXTURES, '--only', pattern];
check('golden models', [process.execPath, SOURCE, ...golden, '--engine', 'webgpu']);

say(
  '',
  '| training step | side | tokens/s | s/step | loss | ÷ PyTorch |',
  '|---|---|---|---|---|---|',
);
const [steps, device] = options.small ? ['1', 'cpu'] : ['10', 'cuda'];
for (const { title, words, peer } of casesOf(options.small)) {
  const given = [...words, '--steps', steps, '--json'];
  const theirs = stepOf(
    runPart(
      [options.python, 'benchmarks/peers/torch_step.py', ...given, ...peer, '--device', device],
      STEP_SECONDS,
      endMs,
    ),
  );
  const ours = stepOf(
    runPart(
      [process.execPath, SOURCE, 'benchmarks/step.ts', ...given, '--engine', 'webgpu'],
      STEP_SECONDS,
      endMs,
    ),
  );
  if (typeof ours === 'string') hasFailed = true;
  say(row(title, 'PyTorch + PEFT', theirs), row(title, 'ours', ours, theirs));
}
const written = `# WebGPU on a card, ${new Date().toISOString().slice(0, 10)}\n\n${lines.join('\n')}\n`;
if (options.write) {
  const name = `${new Date().toISOString().slice(0, 10)}-webgpu${options.small ? '-small' : ''}.md`;
  const path = new URL(`results/${name}`, import.meta.url);
  writeFileSync(path, written);
  console.log(`\nwritten to ${fileURLToPath(path)}`);
}
process.exit(hasFailed ? 1 : 0);

/** A part of which only the exit code and the last line count. */
function check(title: string, command: readonly string[]): void {
  const outcome = runPart(command, CHECK_SECONDS, endMs);
  hasFailed ||= outcome.failure !== undefined;
  const said = outcome.failure ?? outcome.lastLine;
  say(`| ${title} | ${said} | ${outcome.seconds.toFixed(0)} |`);
}

/** What a step's process reported, or why it did not. */
function stepOf({ failure, lastLine }: PartOutcome): StepReport | string {
  if (failure !== undefined) return failure;
  return lastLine.startsWith('{') ? (JSON.parse(lastLine) as StepReport) : `said ${lastLine}`;
}

function row(
  title: string,
  side: string,
  report: StepReport | string,
  peer?: StepReport | string,
): string {
  if (typeof report === 'string') return `| ${title} | ${side} | ${report} | | | |`;
  const ratio =
    typeof peer === 'object' ? (report.tokensPerSecond / peer.tokensPerSecond).toFixed(3) : '';
  const speed = report.tokensPerSecond.toFixed(0);
  const [seconds, loss] = [report.secondsPerStep.toFixed(4), report.loss.toFixed(3)];
  return `| ${title} | ${side}: ${report.engine} | ${speed} | ${seconds} | ${loss} | ${ratio} |`;
}

function say(...text: string[]): void {
  lines.push(...text);
  console.log(text.join('\n'));
}
