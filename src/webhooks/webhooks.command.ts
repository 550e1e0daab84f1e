/** `asper webhooks`: for operators, where a receiver was away or lost what it had taken. */
import type { Command } from 'commander';
import { asOperator, valid } from '../command.js';
import { PAGE_SIZE_MAX } from '../paging.js';
import { DeliveriesService } from './deliveries.service.js';
import { EndpointIdParam, ReplayDto, type WebhookEndpointBody } from './webhooks.dto.js';
import { WebhooksService } from './webhooks.service.js';

interface ReplayOptions {
  event?: string;
  from?: string;
  before?: string;
  only?: string;
}

/** Declares `asper webhooks list|replay`. */
export function declareWebhooks(program: Command): void {
  const webhooks = program.command('webhooks').description('the endpoints that events are sent to');
  webhooks
    .command('list')
    .description('list the endpoints, with how they do')
    .option('--json', 'one endpoint a line, as JSON')
    .action((options: { json?: boolean }) => asOperator(WebhooksService, (service) => list(service, options)));
  webhooks
    .command('replay <endpoint>')
    .description('have the service send one event, or those of a time, to an endpoint again, under their old ids')
    .option('--event <id>', 'one event')
    .option('--from <instant>', 'those since then, such as 2026-01-31T09:30:00Z')
    .option('--before <instant>', 'of those, the ones before then')
    .option('--only <which>', 'dead: of those, the ones that were given up last', 'all')
    .action((endpoint: string, { event, from, before, only }: ReplayOptions) => {
      const { endpoint_id: id } = valid(EndpointIdParam, { endpoint_id: endpoint });
      const dto = valid(ReplayDto, {
        ...(event !== undefined && { event_id: event }),
        ...(from !== undefined && { from }),
        ...(before !== undefined && { before }),
        ...(event === undefined && { only }),
      });
      return asOperator(DeliveriesService, async (service, caller) => {
        const { deliveries } = (await service.replay(id, dto, caller)).body;
        const isAre = deliveries === 1 ? 'delivery is' : 'deliveries are';
        console.log(`${deliveries} ${isAre} on the way, or to be when the endpoint is active.`);
      });
    });
}

async function list(service: WebhooksService, { json }: { json?: boolean }): Promise<void> {
  let cursor: string | undefined;
  do {
    const page = await service.list({ limit: PAGE_SIZE_MAX, cursor });
    for (const endpoint of page.data) console.log(json ? JSON.stringify(endpoint) : line(endpoint));
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
}

function line({ id, status, disabled_reason, failing_since, url, types }: WebhookEndpointBody): string {
  const state = disabled_reason
    ? `${status} (${disabled_reason})`
    : failing_since
      ? `failing since ${failing_since}`
      : status;
  return [id, state, url, types.length === 0 ? 'all types' : types.join(' ')].join('  ');
}
