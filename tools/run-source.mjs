/**
 * Runs a TypeScript file of this repository with the packages resolved from source: `node
 * tools/run-source.mjs FILE [arguments]`.
 */
import { runSource } from './source-process.mjs';

const [file, ...words] = process.argv.slice(2);
runSource(file, words);
