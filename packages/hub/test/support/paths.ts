/** Paths for this package's tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/** A file or folder of the golden cases that all packages share. */
export const fixturePath = (name: string): string =>
  fileURLToPath(new URL(`../../../testing/fixtures/${name}`, import.meta.url));

/** A fresh folder that is removed after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'peft-hub-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
