/** Names of the columns of a delimited file. */
import { PeftError, show } from '@peft/errors';

/** The names, and those of the header that had to be changed. */
export interface ColumnNames {
  readonly names: readonly string[];
  /** Names that came again, as they are called now. */
  readonly renamed: readonly string[];
}

/**
 * The cells of a header as names: an empty one is called by its number, and one that comes again
 * gets `.1`, `.2` …, as pandas does.
 *
 * @param wanted names that someone asks for; none of them may come twice. Without such no name may.
 * @throws PEFT_COLUMN_DUPLICATE
 */
export function headerNames(
  header: readonly string[],
  wanted: readonly string[] | undefined,
  path: string,
): ColumnNames {
  const plain = header.map((name, i) => name.trim() || String(i));
  const taken = new Set(plain);
  const seen = new Set<string>();
  const renamed: string[] = [];
  const names = plain.map((name) => {
    if (!seen.has(name)) {
      seen.add(name);
      return name;
    }
    if (!wanted || wanted.includes(name)) throw duplicateColumn(name, path);
    let copy = 1;
    while (taken.has(`${name}.${copy}`)) copy += 1;
    const other = `${name}.${copy}`;
    taken.add(other);
    renamed.push(other);
    return other;
  });
  return { names, renamed };
}

/** Says that two columns have the same name. */
export function duplicateColumn(name: string, path: string): PeftError {
  return new PeftError('PEFT_COLUMN_DUPLICATE', `data: ${path} has two columns ${show(name)}.`, {
    hint: 'Give each column a name of its own.',
  });
}
