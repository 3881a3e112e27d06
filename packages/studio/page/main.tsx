/** The page: a head with where one is, and one of its parts. */
import 'uplot/dist/uPlot.min.css';
import './page.css';
import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { StudioState } from '../src/api-types.js';
import { RunsPage } from './runs/runs-page.js';
import { TryPage } from './try/try-page.js';
import { StartPage } from './start/start-page.js';
import { get } from './state/api.js';
import { useRoute } from './state/use-route.js';

const PAGES = [
  ['runs', 'Runs'],
  ['start', 'Start a run'],
  ['try', 'Try it'],
] as const;

function Studio() {
  const { page, names } = useRoute();
  const [state, setState] = useState<StudioState>();
  useEffect(() => {
    get<StudioState>('/api/state').then(setState, () => undefined);
  }, []);
  return (
    <>
      <a class="skip" href="#main">
        To the content
      </a>
      <header class="page-head">
        <a class="brand" href="#/runs">
          peft <strong>studio</strong>
        </a>
        <nav aria-label="Pages">
          {PAGES.map(([name, title]) => (
            <a key={name} href={`#/${name}`} aria-current={name === page ? 'page' : undefined}>
              {title}
            </a>
          ))}
        </nav>
        <span class="folder quiet" title={state?.folder}>
          {state?.folder.split(/[\\/]/).at(-1)}
        </span>
      </header>
      {page === 'runs' && <RunsPage ids={names} />}
      {page === 'start' && <StartPage key={names[0]} like={names[0]} />}
      {page === 'try' && <TryPage ids={names} />}
    </>
  );
}

render(<Studio />, document.getElementById('page')!);
