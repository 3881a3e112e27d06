/**
 * Adds to package-lock.json the optional packages of other platforms that npm left out: `node
 * tools/complete-lockfile.mjs`.
 *
 * npm drops an optional dependency that its registry does not answer for when it writes the lock
 * file, and `npm ci` then refuses the file. Entries of other platforms are never fetched here, so
 * name, version and platform are all that is needed.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const path = fileURLToPath(new URL('../package-lock.json', import.meta.url));
const lock = JSON.parse(readFileSync(path, 'utf8'));

const added = [];
for (const [place, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const match =
      /-(darwin|freebsd|linux|win32)-(arm64|x64|arm)(?:-(gnu|musl|gnueabihf|msvc))?$/.exec(name);
    if (
      !match ||
      lock.packages[`node_modules/${name}`] ||
      lock.packages[`${place}/node_modules/${name}`]
    )
      continue;
    const [, system, processor, library] = match;
    lock.packages[`node_modules/${name}`] = {
      version,
      ...(entry.dev && { dev: true }),
      optional: true,
      os: [system],
      cpu: [processor],
      ...(system === 'linux' &&
        (library === 'musl' || library === 'gnu') && {
          libc: [library === 'musl' ? 'musl' : 'glibc'],
        }),
    };
    added.push(`${name}@${version}`);
  }
}
lock.packages = Object.fromEntries(
  Object.entries(lock.packages).sort(([a], [b]) => Number(a > b) - Number(a < b)),
);
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
console.log(added.length ? `added ${added.join(', ')}` : 'nothing is missing');
