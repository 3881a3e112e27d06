/** How long lines and files are, and how many files a folder shows. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a reader is asked to take at most. */
export const LIMITS = Object.freeze({
  /** Characters of a line; a share of the lines may be longer, up to `longestLine`. */
  line: 120,
  longLineShare: 0.005,
  longestLine: 160,
  /** Lines of a file, tests included. */
  file: 400,
  /** Lines of the file in the middle. */
  medianFile: 110,
  /** Files of one folder below a package's `src`; tests stand beside what they test. */
  filesOfFolder: 15,
});

/**
 * @param {string} root
 * @param {readonly string[]} files relative to the root.
 * @param {readonly string[]} data files whose lines may be of any length: tables, not prose or code.
 * @returns {{ problems: string[], figures: Readonly<Record<string, number>> }} figures: files, lines,
 *   longLines, medianFile, longestFile.
 */
export function measureLines(root, files, data = []) {
  const problems = [];
  const longLines = [];
  const lengths = [];
  let lines = 0;
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8').replace(/\n$/, '').split('\n');
    lengths.push(text.length);
    lines += text.length;
    if (text.length > LIMITS.file)
      problems.push(
        `${file}: ${text.length} lines, at most ${LIMITS.file}: which is its second idea?`,
      );
    if (data.includes(file)) continue;
    const pinned = pinnedLines(text);
    text.forEach((line, i) => {
      if (pinned.has(i)) return;
      const { length } = [...line];
      if (length > LIMITS.line) longLines.push(`${file}:${i + 1}`);
      if (length > LIMITS.longestLine)
        problems.push(`${file}:${i + 1}: ${length} characters, at most ${LIMITS.longestLine}`);
    });
  }
  if (longLines.length > lines * LIMITS.longLineShare)
    problems.push(
      `${longLines.length} of ${lines} lines are longer than ${LIMITS.line} characters, ` +
        `at most ${100 * LIMITS.longLineShare} % may be: ${longLines.join(', ')}`,
    );
  const medianFile = lengths.sort((a, b) => a - b)[Math.floor(lengths.length / 2)] ?? 0;
  if (medianFile > LIMITS.medianFile)
    problems.push(
      `half of the files have ${medianFile} lines or more, at most ${LIMITS.medianFile}`,
    );
  return {
    problems,
    figures: {
      files: files.length,
      lines,
      longLines: longLines.length,
      medianFile,
      longestFile: lengths.at(-1) ?? 0,
    },
  };
}

/** Lines of messages that tests pin whole, which are data: from `InlineSnapshot(` to its end. */
function pinnedLines(text) {
  const pinned = new Set();
  let isInside = false;
  text.forEach((line, i) => {
    if (isInside) pinned.add(i);
    if (/InlineSnapshot\(\s*(`[^`]*)?$/.test(line)) isInside = true;
    else if (isInside && /`,?\s*\)?[;,]?$/.test(line) && !/^\s*`[^`]*$/.test(line))
      isInside = false;
  });
  return pinned;
}
