/** How a finished run does on the rows that it held out, or on a table. */
import { useEffect, useState } from 'preact/hooks';
import type { FormParts, ScoreReport } from '../../src/api-types.js';
import { BarChart } from '../parts/bar-chart.js';
import { FailureNote } from '../parts/failure-note.js';
import { TableDrop } from '../start/table-drop.js';
import { get, post } from '../state/api.js';
import { percent, shortNumber, wholeNumber } from '../state/format.js';
import { ClassResults } from './class-results.js';
import { NumberResults } from './number-results.js';

export function ResultsTab({ id }: { readonly id: string }) {
  const [report, setReport] = useState<ScoreReport>();
  const [failure, setFailure] = useState<Error>();
  const [isBusy, setIsBusy] = useState(false);
  const [tables, setTables] = useState<readonly string[]>([]);
  useEffect(() => {
    get<FormParts>('/api/form').then((form) => setTables(form.tables), setFailure);
  }, []);
  const score = async (table?: string): Promise<void> => {
    setIsBusy(true);
    setFailure(undefined);
    try {
      setReport(await post<ScoreReport>('/api/score', { run: id, table }));
    } catch (error) {
      setFailure(error as Error);
    } finally {
      setIsBusy(false);
    }
  };
  return (
    <>
      <div class="row score">
        <button type="button" class="main" disabled={isBusy} onClick={() => void score()}>
          Score the held-out rows
        </button>
        <details>
          <summary>or a table</summary>
          <TableDrop known={tables} onTable={(path) => void score(path)} />
        </details>
      </div>
      <p role="status">{isBusy ? 'Scoring …' : ''}</p>
      <FailureNote failure={failure} />
      {report && !isBusy && <Report report={report} />}
    </>
  );
}

function Report({ report }: { readonly report: ScoreReport }) {
  const { name, rows, scores, classes, numbers, byLanguage } = report;
  return (
    <section aria-label="Results">
      <h3>
        {name}, {wholeNumber(rows)} {rows === 1 ? 'row' : 'rows'}
      </h3>
      <dl class="tiles">
        {Object.entries(scores).map(([metric, value]) => (
          <div key={metric}>
            <dt>{metric.replaceAll('_', ' ')}</dt>
            <dd>{shortNumber(value)}</dd>
          </div>
        ))}
      </dl>
      {byLanguage && (
        <>
          <h3>By language</h3>
          <BarChart
            label="Accuracy of each language"
            bars={byLanguage.map(({ language, rows: count, score }) => ({
              name: `${language} (${wholeNumber(count)})`,
              value: score,
              text: percent(score),
            }))}
            most={1}
          />
        </>
      )}
      {classes && <ClassResults classes={classes} />}
      {numbers && <NumberResults numbers={numbers} />}
    </section>
  );
}
