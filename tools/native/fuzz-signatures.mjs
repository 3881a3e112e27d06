/** The functions of the addon and their parameters, read from the declarations in the binding. */
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const NATIVE = new URL('../../packages/engines/native/', import.meta.url);

/** Where the addon lies, plain or with checks. */
export function addonPath(sanitize = false) {
  const folder = sanitize ? 'build/sanitize/build/Release' : 'build/Release';
  return fileURLToPath(new URL(`${folder}/peft_native.node`, NATIVE));
}

/** The addon that PEFT_NATIVE_ADDON names, else the plain one. */
export function loadAddon() {
  return createRequire(import.meta.url)(process.env.PEFT_NATIVE_ADDON ?? addonPath());
}

let known;

/** `[{ name, parameters: [{ name, type }] }]`, in the order of the sources. */
export function signatures() {
  if (known) return known;
  const folder = new URL('src/binding/', NATIVE);
  const sources = readdirSync(folder)
    .sort()
    .map((file) => readFileSync(new URL(file, folder), 'utf8'));
  known = sources.flatMap((source) =>
    [...source.matchAll(/^ {2}(\w+)\(([^)]*)\): [^;]+;$/gm)].map(([, name, list]) => ({
      name,
      parameters: [...list.matchAll(/(\w+): ([^,]+)/g)].map(([, parameter, type]) => ({
        name: parameter,
        type: type.trim(),
      })),
    })),
  );
  return known;
}

/** Fields of an options type: `[{ name, type }]`. */
export function fieldsOf(typeName) {
  const source = readFileSync(new URL('src/binding/attention.ts', NATIVE), 'utf8');
  const begin = source.indexOf(`interface ${typeName} {`);
  const body = source.slice(begin, source.indexOf('\n}', begin));
  return [...body.matchAll(/readonly (\w+): ([^;]+);/g)].map(([, name, type]) => ({ name, type }));
}
