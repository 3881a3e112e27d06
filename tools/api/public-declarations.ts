/**
 * What a package exports, as declarations without comments: the compiler's own, of every name that
 * its entry point gives.
 */
import { dirname, join } from 'node:path';
import ts from 'typescript';

/**
 * @param entries source files of the program, absolute.
 * @returns entry → its report, names in order.
 */
export function publicDeclarations(
  program: ts.Program,
  entries: readonly string[],
): Map<string, string> {
  const emitted = emitDeclarations(program);
  return new Map(entries.map((entry) => [entry, reportOf(entry, emitted)]));
}

/** Absolute path of a source, without its ending → its declarations. */
type Declarations = ReadonlyMap<string, ts.SourceFile>;

function emitDeclarations(program: ts.Program): Declarations {
  const emitted = new Map<string, ts.SourceFile>();
  program.emit(undefined, (path, text) => {
    const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
    emitted.set(path.replace(/\.d\.ts$/, ''), source);
  });
  return emitted;
}

function reportOf(entry: string, emitted: Declarations): string {
  const folder = dirname(entry);
  const exported = [...exportsOf(entry.replace(/\.ts$/, ''), emitted)].sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
  const augmentations = [...emitted]
    .filter(([path]) => path.startsWith(`${folder}/`))
    .flatMap(([, source]) => source.statements.filter(ts.isModuleDeclaration))
    .filter(({ name }) => ts.isStringLiteral(name))
    .map(textOf)
    .sort();
  return `${[...exported.flatMap(([, texts]) => texts), ...augmentations].join('\n\n')}\n`;
}

/** Name → its declarations; several where a function has overloads. */
function exportsOf(path: string, emitted: Declarations): Map<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  const source = emitted.get(path);
  if (!source) return found;
  const local = declarationsOf(source);
  for (const statement of source.statements) {
    if (!ts.isExportDeclaration(statement)) continue;
    const { moduleSpecifier, exportClause } = statement;
    const from =
      moduleSpecifier && ts.isStringLiteral(moduleSpecifier)
        ? exportsFrom(path, moduleSpecifier.text, emitted)
        : local;
    if (!exportClause) for (const [name, texts] of from) found.set(name, texts);
    else if (ts.isNamedExports(exportClause))
      for (const { name, propertyName } of exportClause.elements) {
        const original = (propertyName ?? name).text;
        const renamed = propertyName ? [`// ${name.text} is called ${original} within`] : [];
        const texts = from.get(original) ?? [`// ${name.text} comes from elsewhere`];
        found.set(name.text, [...renamed, ...texts]);
      }
  }
  for (const [name, texts] of local)
    if (texts.some((text) => /^export /.test(text))) found.set(name, texts);
  return found;
}

function exportsFrom(path: string, specifier: string, emitted: Declarations) {
  return specifier.startsWith('.')
    ? exportsOf(join(dirname(path), specifier).replace(/\.js$/, ''), emitted)
    : new Map<string, readonly string[]>();
}

function declarationsOf(source: ts.SourceFile): Map<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const statement of source.statements)
    for (const name of namesOf(statement))
      found.set(name, [...(found.get(name) ?? []), textOf(statement)]);
  return found;
}

function namesOf(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.map(({ name }) => name.getText());
  const { name } = statement as ts.DeclarationStatement;
  return name && ts.isIdentifier(name) ? [name.text] : [];
}

/** Without private members, which are nobody else's. */
function textOf(statement: ts.Statement): string {
  return statement
    .getText()
    .split('\n')
    .filter((line) => !/^\s+(#private|private\b)/.test(line))
    .join('\n');
}
