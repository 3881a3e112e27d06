/** Gives the texts of a delimited file their types, column by column. */
import type { Cell } from '../table.js';

const NUMBER = /^[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
/** `1,5`, `-0,25`, `1.234,5`: a comma before the decimals, full stops between thousands. */
const DECIMAL_COMMA = /^[+-]?(?:0|[1-9]\d*|[1-9]\d{0,2}(?:\.\d{3})+),\d+$/;
const THREE_DECIMALS = /^[+-]?[1-9]\d{0,2},\d{3}$/;
/** Ways of writing "missing" in a column of numbers; an empty cell is missing everywhere. */
const MISSING = new Set(['NA', 'N/A', 'n/a', 'NaN', 'nan', 'null', 'NULL', 'None', '#N/A']);

/**
 * Numbers if every cell is one or missing, booleans if every cell is `true` or `false` in any of
 * Python's and JSON's spellings, else texts. Codes with leading zeros and integers beyond 2⁵³ stay
 * texts, so that nothing is lost; in a column of texts only the empty cell is missing.
 *
 * @param delimiter of the file. Where it is no comma, `1,5` is the number 1.5; between other
 *   delimiters than semicolons only if not every comma may separate thousands (`1,234`).
 */
export function typeCells(texts: readonly string[], delimiter = ','): Cell[] {
  const trimmed = texts.map((text) => text.trim());
  const given = trimmed.filter((text) => text !== '' && !MISSING.has(text));
  if (given.length > 0) {
    if (given.every(isNumber)) return trimmed.map((text) => (isNumber(text) ? Number(text) : null));
    if (hasDecimalCommas(given, delimiter))
      return trimmed.map((text) => {
        const plain = withFullStop(text);
        return isNumber(plain) ? Number(plain) : null;
      });
    if (given.every((text) => /^(?:true|True|TRUE|false|False|FALSE)$/.test(text))) {
      return trimmed.map((text) =>
        text === '' || MISSING.has(text) ? null : text.toLowerCase() === 'true',
      );
    }
  }
  return texts.map((text) => (text === '' ? null : text));
}

function hasDecimalCommas(given: readonly string[], delimiter: string): boolean {
  if (delimiter === ',') return false;
  if (!given.every((text) => isNumber(withFullStop(text)))) return false;
  const withComma = given.filter((text) => DECIMAL_COMMA.test(text));
  return (
    withComma.length > 0 &&
    (delimiter === ';' || withComma.some((text) => !THREE_DECIMALS.test(text)))
  );
}

const withFullStop = (text: string): string =>
  DECIMAL_COMMA.test(text) ? text.replaceAll('.', '').replace(',', '.') : text;

function isNumber(text: string): boolean {
  if (!NUMBER.test(text)) return false;
  return /[.eE]/.test(text) ? Number.isFinite(Number(text)) : Number.isSafeInteger(Number(text));
}
