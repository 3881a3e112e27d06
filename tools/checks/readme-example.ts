/** Runs the first example of a README as it is written. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { folderOf, ROOT } from '../packages.mjs';

const REPOSITORY = ROOT;

export interface ReadmeExample {
  /** What it printed. */
  readonly printed: string;
  /** What the README says that it prints, where it does. */
  readonly promised: string | undefined;
}

/**
 * @param packageName without its scope.
 * @param options.prepare puts what the example reads into the folder that it runs in.
 * @param options.inspect looks at what it left there.
 * @param options.inRepository it runs in the repository's root, whose files it names. Default: in
 *   an empty folder.
 */
export async function runReadmeExample(
  packageName: string,
  {
    prepare,
    inspect,
    inRepository = false,
  }: {
    readonly prepare?: (folder: string) => void;
    readonly inspect?: (folder: string) => void;
    readonly inRepository?: boolean;
  } = {},
): Promise<ReadmeExample> {
  const readme = readFileSync(join(REPOSITORY, folderOf(packageName), 'README.md'), 'utf8');
  const folder = mkdtempSync(join(tmpdir(), `peft-${packageName}-readme-`));
  try {
    symlinkSync(join(REPOSITORY, 'node_modules'), join(folder, 'node_modules'));
    writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
    writeFileSync(join(folder, 'example.ts'), /```ts\n([\s\S]*?)```/.exec(readme)![1]!);
    prepare?.(folder);
    const { stdout: printed } = await promisify(execFile)(
      process.execPath,
      ['--conditions=@peft/source', '--import', 'tsx', join(folder, 'example.ts')],
      { cwd: inRepository ? REPOSITORY : folder },
    );
    inspect?.(folder);
    return { printed, promised: /```text\n([\s\S]*?)```/.exec(readme)?.[1] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
