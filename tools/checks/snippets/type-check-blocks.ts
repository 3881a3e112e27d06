/** Type-checks TypeScript from pages against the packages' sources. */
import { join } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../../packages.mjs';
import type { Block } from './markdown-blocks.js';

/** Pages whose blocks stand beside files of another folder. */
const BESIDE: Readonly<Record<string, string>> = {
  'packages/testing/README.md': 'examples/third-party-ssf',
  'examples/third-party/README.md': 'examples/third-party',
};

/**
 * A block that does not declare what it uses goes on from the blocks above it on its page.
 *
 * @returns place of a block → what the compiler says of it; those without a fault are absent.
 */
export function typeCheckBlocks(blocks: readonly Block[]): Map<string, string> {
  const alone = diagnose(new Map(blocks.map((block) => [block.place, block.code])));
  const continued = new Map<string, string>();
  for (const block of blocks) {
    if (!alone.has(block.place)) continue;
    const before = blocks.slice(0, blocks.indexOf(block)).filter(({ page }) => page === block.page);
    if (before.length > 0)
      continued.set(block.place, joined([...before.map(({ code }) => code), block.code]));
  }
  const second = diagnose(continued);
  return new Map(
    [...alone]
      .filter(([place]) => !continued.has(place) || second.has(place))
      .map(([place, fault]) => [place, second.get(place) ?? fault]),
  );
}

/** Blocks after each other; what each imports again is imported once. */
function joined(codes: readonly string[]): string {
  const seen = new Set<string>();
  return codes
    .join('\n')
    .replace(
      /^import (?:type )?\{([^}]*)\} from '([^']+)';$/gm,
      (_, names: string, from: string) => {
        const fresh = names
          .split(',')
          .map((name) => name.trim())
          .filter((name) => name && !seen.has(name));
        for (const name of fresh) seen.add(name);
        return fresh.length > 0 ? `import { ${fresh.join(', ')} } from '${from}';` : '';
      },
    );
}

/** The packages' and libraries' files, parsed once for both programs. */
const parsed = new Map<string, ts.SourceFile | undefined>();

function diagnose(codes: ReadonlyMap<string, string>): Map<string, string> {
  if (codes.size === 0) return new Map();
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts'],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    customConditions: ['@peft/source'],
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    experimentalDecorators: true,
    types: ['node'],
  };
  const fileOf = (place: string): string =>
    join(
      ROOT,
      BESIDE[place.split(':')[0]!] ?? 'tools/checks/snippets',
      `${place.replace(/\W/g, '_')}.mts`,
    );
  const files = new Map(
    [...codes].map(([place, code]) => [fileOf(place), `${code}\nexport {};\n`]),
  );
  const host = ts.createCompilerHost(options);
  const plain = ts.createCompilerHost(options);
  host.fileExists = (name) => files.has(name) || plain.fileExists(name);
  host.readFile = (name) => files.get(name) ?? plain.readFile(name);
  host.getSourceFile = (name, ...rest) => {
    const text = files.get(name);
    if (text !== undefined) return ts.createSourceFile(name, text, rest[0], true);
    if (!parsed.has(name)) parsed.set(name, plain.getSourceFile(name, ...rest));
    return parsed.get(name);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  const faults = new Map<string, string>();
  for (const place of codes.keys()) {
    const source = program.getSourceFile(fileOf(place))!;
    const found = [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ];
    if (found.length > 0)
      faults.set(
        place,
        found
          .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
          .join('\n'),
      );
  }
  return faults;
}
