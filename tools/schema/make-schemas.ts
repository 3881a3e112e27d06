/**
 * Writes the JSON Schemas that `@peft/cli` ships, from the tables of its options and of the
 * settings: `node tools/run-source.mjs tools/schema/make-schemas.ts`.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as prettier from 'prettier';
import ts from 'typescript';
import { runFileSchema, settingsSchema } from '../../packages/cli/src/run-file/run-schema.js';
import { ROOT } from '../packages.mjs';

const TYPES = 'packages/predictor/src/settings/hyperparameter-types.ts';

/** The first paragraph of each setting's comment, by its key. */
function descriptions(): Record<string, string> {
  const source = ts.createSourceFile(
    TYPES,
    readFileSync(join(ROOT, TYPES), 'utf8'),
    ts.ScriptTarget.ES2022,
    true,
  );
  const settings = source.statements.find(
    (statement): statement is ts.InterfaceDeclaration =>
      ts.isInterfaceDeclaration(statement) && statement.name.text === 'Hyperparameters',
  )!;
  return Object.fromEntries(
    settings.members.flatMap((member) => {
      const [comment] = ts.getJSDocCommentsAndTags(member);
      const text = comment && ts.getTextOfJSDocComment((comment as ts.JSDoc).comment);
      return text ? [[(member.name as ts.StringLiteral).text, text.replace(/\s+/g, ' ')]] : [];
    }),
  );
}

/** Path below the root → what stands there. */
export async function makeSchemas(): Promise<Readonly<Record<string, string>>> {
  const known = descriptions();
  const options = await prettier.resolveConfig(join(ROOT, 'package.json'));
  const json = (schema: unknown): Promise<string> =>
    prettier.format(JSON.stringify(schema), { ...options, parser: 'json' });
  return {
    'packages/cli/schema/run.schema.json': await json(runFileSchema(known)),
    'packages/cli/schema/settings.schema.json': await json(settingsSchema(known)),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const [path, text] of Object.entries(await makeSchemas())) {
    mkdirSync(dirname(join(ROOT, path)), { recursive: true });
    writeFileSync(join(ROOT, path), text);
  }
