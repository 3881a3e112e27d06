/** Where the page stands: `#/runs/a,b`. */
import { useEffect, useState } from 'preact/hooks';

export interface Route {
  readonly page: string;
  /** What follows the page's name: ids of runs, for instance. */
  readonly names: readonly string[];
}

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = (): void => setHash(location.hash);
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return routeOf(hash);
}

export function routeOf(hash: string): Route {
  const [, page = 'runs', names = ''] = hash.replace(/^#/, '').split('/');
  return { page: page || 'runs', names: names === '' ? [] : names.split(',').map(decoded) };
}

/** The address of a page. */
export const hashOf = (page: string, names: readonly string[] = []): string =>
  `#/${page}${names.length > 0 ? `/${names.map(encodeURIComponent).join(',')}` : ''}`;

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
