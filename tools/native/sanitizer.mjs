/** What a process needs to load the addon with address and undefined-behaviour checks. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';

/** The sanitisers' libraries of the compiler; they have to be loaded before Node. */
export function sanitizerLibraries() {
  return ['libasan.so', 'libubsan.so']
    .map((name) =>
      spawnSync(process.env.CXX ?? 'g++', [`-print-file-name=${name}`], {
        encoding: 'utf8',
      }).stdout?.trim(),
    )
    .filter((path) => path && isAbsolute(path) && existsSync(path));
}

/**
 * Environment variables for such a process. Leaks are not looked for: Node's own allocations would
 * drown them.
 */
export function sanitizerEnvironment() {
  return {
    LD_PRELOAD: sanitizerLibraries().join(':'),
    ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:allocator_may_return_null=1',
    UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  };
}
