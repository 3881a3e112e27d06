/** Gives the texts of a delimited file their types, column by column. */
import type { Cell } from './table.js';

const NUMBER = /^[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
/** Ways of writing "missing" in a column of numbers; an empty cell is missing everywhere. */
const MISSING = new Set(['NA', 'N/A', 'n/a', 'NaN', 'nan', 'null', 'NULL', 'None', '#N/A']);

/**
 * Numbers if every cell is one or missing, booleans if every cell is `true` or `false` in any of
 * Python's and JSON's spellings, else texts. Codes with leading zeros and integers beyond 2⁵³ stay
 * texts, so that nothing is lost; in a column of texts only the empty cell is missing.
 */
export function typeCells(texts: readonly string[]): Cell[] {
  const trimmed = texts.map((text) => text.trim());
  const given = trimmed.filter((text) => text !== '' && !MISSING.has(text));
  if (given.length > 0) {
    if (given.every(isNumber)) return trimmed.map((text) => (isNumber(text) ? Number(text) : null));
    if (given.every((text) => /^(?:true|True|TRUE|false|False|FALSE)$/.test(text))) {
      return trimmed.map((text) =>
        text === '' || MISSING.has(text) ? null : text.toLowerCase() === 'true',
      );
    }
  }
  return texts.map((text) => (text === '' ? null : text));
}

function isNumber(text: string): boolean {
  if (!NUMBER.test(text)) return false;
  return /[.eE]/.test(text) ? Number.isFinite(Number(text)) : Number.isSafeInteger(Number(text));
}
