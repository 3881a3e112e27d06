/** Which names of an entry point have no docstring: every one of them has to have one. */
import { dirname, relative } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../packages.mjs';

/**
 * @param entry source file of the program, absolute; what it gives on from other packages is theirs.
 * @returns `path:line name` of each.
 */
export function undocumentedExports(program: ts.Program, entry: string): string[] {
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(entry)!);
  return (module ? checker.getExportsOfModule(module) : []).flatMap((exported) => {
    const isAlias = (exported.flags & ts.SymbolFlags.Alias) !== 0;
    const symbol = isAlias ? checker.getAliasedSymbol(exported) : exported;
    const [declaration] = symbol.declarations ?? [];
    const source = declaration?.getSourceFile();
    if (!source?.fileName.startsWith(`${dirname(entry)}/`)) return [];
    if (symbol.getDocumentationComment(checker).length || symbol.getJsDocTags(checker).length)
      return [];
    const { line } = source.getLineAndCharacterOfPosition(declaration!.getStart());
    return [`${relative(ROOT, source.fileName)}:${line + 1} ${symbol.name}`];
  });
}
