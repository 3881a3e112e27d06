/**
 * Composition of an application: typed tokens, modules that bind them, one instance each, disposed
 * in reverse. The only file that knows tsyringe.
 */
import 'reflect-metadata/lite';
import {
  container as root,
  instancePerContainerCachingFactory,
  type DependencyContainer,
} from 'tsyringe';
import { PeftError } from '@peft/errors';

declare const typeOf: unique symbol;
/** A key that remembers the type of what it resolves to. */
export type Token<T> = symbol & { readonly [typeOf]?: (value: T) => T };
/** A new token. Two tokens differ, whatever their descriptions, which are for messages. */
export const token = <T>(description: string): Token<T> => Symbol(description);

/** Gives the value that a token is bound to. */
export interface Resolver {
  get<T>(token: Token<T>): T;
  has(token: Token<unknown>): boolean;
}
/** Binds tokens to what makes their values. */
export type Bind = <T>(token: Token<T>, make: (resolver: Resolver) => T) => void;
/** A module is a function that binds. */
export type Module = (bind: Bind) => void;
/** Modules composed: values by their tokens, and the end of them all. */
export interface App extends Resolver {
  /** Disposes what was made, last made first, each once. */ dispose(): void;
}

/**
 * Composes modules into an application. Values are made when first asked for, one of each.
 * @throws PEFT_TOKEN_TWICE when two modules bind a token (use {@link override}); `get` throws
 *   PEFT_TOKEN_UNBOUND, PEFT_TOKEN_CYCLE
 */
export function compose(...modules: readonly Module[]): App {
  const box: DependencyContainer = root.createChildContainer();
  const made: unknown[] = [];
  const path: string[] = [];
  const has = (key: Token<unknown>): boolean => box.isRegistered(key);
  const get = <T>(key: Token<T>): T => {
    const name = key.description ?? 'a token without a name';
    if (!has(key as Token<unknown>))
      throw new PeftError(
        'PEFT_TOKEN_UNBOUND',
        `Nothing is bound to ${name}${path.length ? ` (needed by ${path.join(' > ')})` : ''}.`,
        { hint: 'pass the module that provides it to compose(...)' },
      );
    if (path.includes(name))
      throw new PeftError('PEFT_TOKEN_CYCLE', `Cycle: ${[...path, name].join(' > ')}.`, {
        hint: 'let one of them take what it needs as an argument',
      });
    path.push(name);
    try {
      return box.resolve(key) as T;
    } finally {
      path.pop();
    }
  };
  const bindings = new Map<symbol, (resolver: Resolver) => unknown>();
  for (const module of modules) {
    const replaces = overriding.has(module);
    module((key, make) => {
      if (bindings.has(key) && !replaces)
        throw new PeftError('PEFT_TOKEN_TWICE', `${key.description} is bound twice.`, {
          hint: 'remove one of the modules, or wrap the second in override(...)',
        });
      bindings.set(key, make);
    });
  }
  for (const [key, make] of bindings) {
    box.register(key, {
      useFactory: instancePerContainerCachingFactory(() => {
        const value = make({ get, has });
        made.push(value);
        return value;
      }),
    });
  }
  return {
    get,
    has,
    dispose: () => {
      for (const value of made.splice(0).reverse())
        (value as { dispose?(): void } | undefined)?.dispose?.();
    },
  };
}

const overriding = new WeakSet<Module>();

/** Marks a module whose bindings replace earlier ones. */
export function override(module: Module): Module {
  const marked: Module = (bind) => module(bind);
  overriding.add(marked);
  return marked;
}
