/** The alert rules of `ops/alerts.yaml`. */
import { load } from 'js-yaml';
import { readFileSync } from 'node:fs';

export interface Rule {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: { summary: string; runbook_url: string };
}

export function parseRules(): Rule[] {
  const { groups } = load(readFileSync('ops/alerts.yaml', 'utf8')) as { groups: Array<{ rules: Rule[] }> };
  return groups.flatMap(({ rules }) => rules);
}
