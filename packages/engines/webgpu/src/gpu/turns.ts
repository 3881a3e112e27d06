/**
 * The turns that Dawn's binding for Node takes by `setImmediate`, in our hands: so that whoever
 * must have a value at once can take them without going back to Node's loop. Pages have no such
 * turns, and nothing here does anything there.
 */

type Turn = () => void;

interface Scope {
  setImmediate?: (turn: (...given: unknown[]) => void, ...given: unknown[]) => unknown;
}

let waiting: Turn[] = [];

/**
 * Runs a call of the binding that begins something asynchronous. The turn that it asks for comes by
 * itself, or by {@link takeTurn}, whichever is first.
 */
export function withTurns<T>(call: () => T): T {
  const scope = globalThis as Scope;
  const real = scope.setImmediate;
  if (!real) return call();
  scope.setImmediate = (turn, ...given) => {
    const once = () => {
      if (!waiting.includes(once)) return;
      waiting = waiting.filter((each) => each !== once);
      // it may ask for the next one
      withTurns(() => turn(...given));
    };
    waiting.push(once);
    return real(once);
  };
  try {
    return call();
  } finally {
    scope.setImmediate = real;
  }
}

/** Takes the turn that was asked for first, now. @returns whether there was one */
export function takeTurn(): boolean {
  const turn = waiting[0];
  turn?.();
  return turn !== undefined;
}
