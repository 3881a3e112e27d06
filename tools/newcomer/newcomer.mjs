/**
 * The first half hour of a newcomer as one script: a bare HOME, a clone, the README's two commands,
 * its command lines, a typo, Ctrl-C, and the command that resumes. Prints a transcript that reads
 * like a terminal; ends with 1 and the reason at the first line that does not do what it should.
 *
 *     node tools/newcomer/newcomer.mjs            clones this repository's HEAD and installs it
 *     node tools/newcomer/newcomer.mjs --here     uses this checkout as it is
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const isHere = process.argv.includes('--here');
const home = mkdtempSync(join(tmpdir(), 'newcomer-'));
const clone = isHere ? repository : join(home, 'peft');
const out = join(home, 'out');
const env = {
  PATH: process.env.PATH,
  HOME: home,
  TERM: 'xterm',
  // where npm fetches from, and nothing else of the one who runs this
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) =>
      /^npm_config_(registry|cache|cafile)$/i.test(name),
    ),
  ),
};

/**
 * Runs a line as one types it, and prints it with what it says.
 *
 * @param {string} line
 * @param {{ cwd?: string, code?: number, says?: readonly RegExp[], interruptAt?: RegExp }} expected
 *   exit code (default 0), what must be said, and where Ctrl-C is pressed
 * @returns {Promise<string>} all that was said
 */
async function type(line, { cwd = clone, code = 0, says = [], interruptAt } = {}) {
  console.log(`\n$ ${line.replaceAll(home, '~')}`);
  // a process group of its own, as a terminal's foreground job is: Ctrl-C reaches all of it
  const job = spawn('sh', ['-c', line], {
    cwd,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  let isInterrupted = false;
  const hear = (text) => {
    said += text;
    process.stdout.write(text.replaceAll(home, '~'));
    if (isInterrupted || !interruptAt?.test(said)) return;
    isInterrupted = true;
    console.log('^C');
    process.kill(-job.pid, 'SIGINT');
  };
  job.stdout.setEncoding('utf8').on('data', hear);
  job.stderr.setEncoding('utf8').on('data', hear);
  await once(job, 'close');
  // a shell that was interrupted itself has no exit code; the next one would report this
  const ended = job.exitCode ?? 128 + constants.signals[job.signalCode];
  if (ended !== code) fail(line, `it ended with ${ended}, not ${code}`);
  for (const wanted of says) if (!wanted.test(said)) fail(line, `it did not say ${wanted}`);
  return said;
}

function fail(line, problem) {
  console.log(`\nA newcomer is stuck at: ${line}\n  ${problem}`);
  rmSync(home, { recursive: true, force: true });
  process.exit(1);
}

if (!isHere) {
  await type(`git clone ${repository} peft`, { cwd: home });
  await type('npm ci');
}
await type(`npm run quickstart -- ${join(home, 'quickstart')} --rows 64`, {
  says: [/times chance/, /npx peft predict/],
});

const data = relative(repository, join(repository, 'examples/quickstart/data'));
const fit = [
  `npx peft fit ${data}/en_train.tsv --columns label,text --label label`,
  `--model examples/quickstart/model --method ia3_bias --sample 64 --batch-size 8 --output ${out}`,
].join(' ');
await type('npx peft inspect examples/quickstart/model --method ia3_bias --outputs 7', {
  says: [/12,295 trainable/],
});
await type(fit.replace('ia3_bias', 'ia3_bais'), { code: 1, says: [/Did you mean .*"ia3_bias"/] });
await type(fit.replace('--label ', '--lable '), { code: 2, says: [/Did you mean --label/] });
await type(fit, { code: 130, interruptAt: /step 1\//, says: [/Resume with:/] });
const refused = await type(fit, { code: 1, says: [/did not finish/, /resume it with: /] });
const [, resume] = /resume it with: (.*)/.exec(refused);
await type(resume, { says: [/resumed after step/, /use it with: peft predict/] });
await type(`npx peft evaluate ${out} ${data}/de_test.tsv`, { says: [/accuracy/] });
await type(`npx peft predict ${out} --text "The battery died after two weeks."`);
await type(`npx peft predict ${out}/typo --text hello`, { code: 1, says: [/error PEFT_/] });

rmSync(home, { recursive: true, force: true });
console.log('\nEverything did what the README says.');
