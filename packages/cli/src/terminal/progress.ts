/** Shows a run's events: a bar that redraws itself on a terminal, plain lines elsewhere. */
import { MultiBar, Presets, type SingleBar } from 'cli-progress';
import type { TrainEvent } from '@peft/core';
import { bytes, count, duration, modelSummary } from './format.js';
import { safeText } from './safe-text.js';
import type { Terminal } from './terminal.js';
import { warningText } from './warning-text.js';

/** A plain line for the first, the last and every so many steps. */
const STEPS_PER_LINE = 10;

/** How a run ended, for people. */
const ENDS = Object.freeze({
  completed: 'done',
  'stopped-early': 'stopped early',
  aborted: 'stopped',
  diverged: 'diverged',
  failed: 'failed',
});

/** `validation loss 0.5312  accuracy 0.7071`; a loss of training has a line of its own. */
export const metricsText = (metrics: Readonly<Record<string, number>>): string =>
  Object.entries(metrics)
    .map(([name, value]) => `${name === 'loss' ? 'validation loss' : name} ${value.toFixed(4)}`)
    .join('  ');

type MemoryPlan = Extract<TrainEvent, { type: 'memory/planned' }>;

function memoryText({ gpu, peakBytes, usableBytes, changes }: MemoryPlan): string {
  const host = `${bytes(peakBytes)} planned, ${bytes(usableBytes)} available`;
  const device =
    gpu && `${bytes(gpu.peakBytes)} planned on ${gpu.name}, ${bytes(gpu.usableBytes)} available`;
  const all = device === undefined ? host : `${device}, and on the host ${host}`;
  return `memory: ${all}${changes.length ? `; with ${changes.join(', ')}` : ''}`;
}

type RunStarted = Extract<TrainEvent, { type: 'run/started' }>;

/** What trains, on what. */
function trainedText({
  method,
  modelType,
  trainableParameters,
  totalParameters,
  engine,
}: RunStarted): string {
  const percent = ((100 * trainableParameters) / totalParameters).toPrecision(3);
  return (
    `${method} on ${modelType}: ${count(trainableParameters)} trainable of ` +
    `${count(totalParameters)} parameters (${percent} %), ${engine}`
  );
}

/** What has been seen so far. */
interface Progress {
  startedAtMs: number;
  plannedSteps: number;
  firstStep: number;
  tokens: number;
  trainedMs: number;
  examples: number;
  lastDownload: string;
}

/** @returns a sink for `bus.listen` or `predictor.listen`, and what ends the bar. */
export function createProgress(terminal: Terminal): {
  readonly listen: (event: TrainEvent) => void;
  readonly stop: () => void;
} {
  const seen: Progress = {
    startedAtMs: 0,
    plannedSteps: 0,
    firstStep: 0,
    tokens: 0,
    trainedMs: 0,
    examples: 0,
    lastDownload: '',
  };
  const bars = terminal.isInteractive
    ? new MultiBar(
        {
          format:
            '{bar} {percentage}% | step {value}/{total} | training loss {loss} | {speed} tokens/s | {left} left',
          hideCursor: true,
          clearOnComplete: true,
          stream: process.stderr,
          barsize: 24,
          fps: 8,
        },
        Presets.shades_classic,
      )
    : undefined;
  let bar: SingleBar | undefined;
  const say = (text: string): void =>
    bars ? void bars.log(`${safeText(text)}\n`) : terminal.err(text);
  const onStep = (event: Extract<TrainEvent, { type: 'step/completed' }>): void => {
    seen.tokens += event.tokens;
    seen.trainedMs += event.durationMs;
    const speed = seen.tokens / (seen.trainedMs / 1e3);
    const done = event.step - seen.firstStep;
    const left =
      done > 0
        ? ((event.atMs - seen.startedAtMs) / done / 1e3) * (seen.plannedSteps - event.step)
        : Number.NaN;
    if (bar)
      bar.update(event.step, {
        loss: event.loss.toFixed(4),
        speed: count(speed),
        left: duration(left),
      });
    else if (event.step % STEPS_PER_LINE === 0 || event.step === seen.plannedSteps || done === 1) {
      say(
        `step ${event.step}/${seen.plannedSteps}  training loss ${event.loss.toFixed(4)}  lr ` +
          `${event.learningRate.toExponential(2)}  ${count(speed)} tokens/s  ${duration(left)} ` +
          'left',
      );
    }
  };
  const listen = (event: TrainEvent): void => {
    switch (event.type) {
      case 'download/progressed': {
        const text = `${event.file} ${bytes(event.loadedBytes)} of ${bytes(event.totalBytes)}`;
        const tenth = `${event.file} ${Math.floor((10 * event.loadedBytes) / Math.max(event.totalBytes, 1))}`;
        if (tenth !== seen.lastDownload) say(`downloading ${text}`);
        seen.lastDownload = tenth;
        return;
      }
      case 'memory/planned':
        return say(memoryText(event));
      case 'run/started':
        Object.assign(seen, {
          startedAtMs: event.atMs,
          plannedSteps: event.plannedSteps,
          firstStep: event.resumedAtStep ?? 0,
        });
        say(trainedText(event));
        say(modelSummary(event.trainableParameters, event.totalParameters));
        say(
          event.resumedAtStep === undefined
            ? `${event.plannedSteps} steps in ${event.plannedEpochs} epochs`
            : `resumed after step ${event.resumedAtStep} of ${event.plannedSteps}`,
        );
        bar = bars?.create(event.plannedSteps, seen.firstStep, {
          loss: '…',
          speed: '…',
          left: '…',
        });
        return;
      case 'step/completed':
        return onStep(event);
      case 'evaluation/completed':
        return say(
          `epoch ${event.epoch + 1}, step ${event.step}: ${metricsText(event.metrics)}${event.isBest ? '  (best so far)' : ''}`,
        );
      case 'run/warned':
        return say(warningText(event));
      case 'run/ended':
        return say(
          `${ENDS[event.reason]} after step ${event.step}, ${duration(event.durationMs / 1e3)}, ` +
            `at most ${bytes(event.peakMemoryBytes)} of memory`,
        );
      default:
    }
  };
  return { listen, stop: () => bars?.stop() };
}
