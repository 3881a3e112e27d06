export { runCommandLine } from './command-line.js';
export { createProgress } from './terminal/progress.js';
export { fitReport, type TestScores } from './terminal/fit-report.js';
export {
  processTerminal,
  STOP_EXIT_CODES,
  StopSignal,
  type Terminal,
} from './terminal/terminal.js';
