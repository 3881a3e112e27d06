import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv from 'ajv';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { commandsOf, faultOf } from '../checks/snippets/shell-commands.js';
import { ROOT } from '../packages.mjs';

const read = (name: string): string => readFileSync(join(ROOT, 'deploy', name), 'utf8');
const schema = JSON.parse(read('schema/kubeflow.schema.json')) as object;
const faultsOf = (manifest: unknown): string => {
  const ajv = new Ajv({ allErrors: true });
  return ajv.validate(schema, manifest) ? '' : ajv.errorsText();
};

interface Trainer {
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly numNodes: number;
  readonly numProcPerNode: number;
}

test('the manifests for Kubeflow say what its API knows, and start as many ranks as they ask for', () => {
  const runtime = parse(read('kubeflow-runtime.yaml')) as { metadata: { name: string } };
  const job = parse(read('kubeflow-job.yaml')) as {
    spec: { runtimeRef: { name: string }; trainer: Trainer };
  };
  expect(faultsOf(runtime)).toBe('');
  expect(faultsOf(job)).toBe('');
  expect(faultsOf({ ...job, spec: { ...job.spec, trianer: {} } })).toContain('additional');
  const { runtimeRef, trainer } = job.spec;
  expect(runtimeRef.name).toBe(runtime.metadata.name);
  const { command, args, numNodes, numProcPerNode } = trainer;
  expect(command[command.indexOf('-n') + 1]).toBe(String(numNodes * numProcPerNode));
  expect(faultOf(['peft', ...args])).toBeUndefined();
});

test('the scripts for Slurm are ones of bash, and the command is known', () => {
  for (const name of ['slurm.sh', 'slurm-on-loopback.sh'])
    execFileSync('bash', ['-n', join(ROOT, 'deploy', name)]);
  const commands = commandsOf(read('slurm.sh')).filter(([program]) => program === 'srun');
  expect(commands).toHaveLength(1);
  expect(commands.map(faultOf)).toEqual([undefined]);
});

test('the host file names machines with their ranks', () => {
  const lines = read('hosts').trim().split('\n');
  for (const line of lines) expect(line).toMatch(/^(#.*|\S+ slots=\d+)$/);
});

test('the Dockerfile copies what is there', () => {
  const copied = [...read('Dockerfile').matchAll(/^COPY (\S+)/gm)].map(([, path]) => path!);
  expect(copied).toEqual(['deploy/sshd_config']);
  for (const path of copied) expect(existsSync(join(ROOT, path))).toBe(true);
});
