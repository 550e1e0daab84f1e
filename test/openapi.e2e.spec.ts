import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { startService, type Service } from './support/service.js';

interface Operation {
  operationId: string;
  summary?: string;
  security: Array<Record<string, string[]>>;
  'x-access': { kind: 'public' | 'anyone' | 'person' | 'scope'; own?: string };
  parameters?: Array<{
    name: string;
    in: string;
    example?: unknown;
    schema?: { example?: unknown; default?: unknown };
  }>;
  requestBody?: { content: Record<string, { schema: { $ref: string } }> };
  responses: Record<
    string,
    { description: string; content?: Record<string, { schema?: unknown; examples?: Record<string, unknown> }> }
  >;
}
type Schema = { properties?: Record<string, Record<string, unknown>> };

describe('the OpenAPI document', () => {
  let service: Service;
  let document: {
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: Record<string, Schema>; securitySchemes: unknown };
  };
  let text: string;
  beforeAll(async () => {
    service = await startService();
    document = (await service.api.get<typeof document>('/docs-json')).body;
    text = `${JSON.stringify(document, null, 2)}\n`;
  });
  afterAll(() => service.stop());

  const operations = () =>
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
    );

  it('is the committed openapi.json (UPDATE_OPENAPI=1 npm test -- openapi writes it)', () => {
    if (process.env.UPDATE_OPENAPI) writeFileSync('openapi.json', text);
    expect(readFileSync('openapi.json', 'utf8')).toBe(text);
  });

  it('lints clean', async () => {
    const config = await createConfig({
      extends: ['recommended'],
      rules: { 'operation-4xx-response': 'off' },
    });
    const problems = await lintFromString({ source: text, config });
    expect(problems.map(({ ruleId, message, location }) => `${ruleId} ${location[0]?.pointer}: ${message}`)).toEqual(
      [],
    );
  });

  it('tells of every operation what it does, with examples in and out, and every error code', () => {
    expect(operations().length).toBeGreaterThan(20);
    for (const { path, method, operation } of operations()) {
      const at = `${method} ${path}`;
      expect([at, operation.summary]).toEqual([at, expect.stringMatching(/\w{3}/)]);
      const body = operation.requestBody?.content['application/json']?.schema.$ref.split('/').at(-1);
      if (body)
        for (const [field, schema] of Object.entries(document.components.schemas[body]!.properties!))
          expect([at, field, 'example' in schema]).toEqual([at, field, true]);
      const success = Object.keys(operation.responses).filter((status) => status.startsWith('2'));
      // A money call answers 201, and 200 where it was only asked what would happen.
      expect([at, success.join()]).toEqual([at, expect.stringMatching(/^(200|201|200,201)$/)]);
      const isClassic = !/^\/(v1|health|version)/.test(path);
      const codes = Object.values(operation.responses).flatMap(({ content }) =>
        Object.keys(content?.['application/problem+json']?.examples ?? {}),
      );
      if (!isClassic) expect([at, codes]).toEqual([at, expect.arrayContaining(['internal_error'])]);
      for (const [status, { description, content }] of Object.entries(operation.responses)) {
        const examples = Object.keys(content?.['application/problem+json']?.examples ?? {});
        const told = description.match(/^`\w+`(?=: )/gm) ?? [];
        if (!isClassic)
          expect([at, status, [...told].sort()]).toEqual([at, status, examples.map((c) => `\`${c}\``).sort()]);
      }
      // Sign-in has codes and tokens that are good once; they are its keys.
      if (!isClassic && method === 'post' && !path.startsWith('/v1/auth/'))
        expect([at, codes]).toEqual([at, expect.arrayContaining(['idempotency_key_reused', 'outcome_unknown'])]);
    }
  });

  it('says of every operation who may call it, and by which of the two schemes that Authorize offers', () => {
    const { securitySchemes } = document.components;
    expect(securitySchemes).toEqual({
      access_token: expect.objectContaining({ type: 'http', scheme: 'bearer', bearerFormat: 'JWT' }),
      api_key: expect.objectContaining({ type: 'apiKey', in: 'header', name: 'X-API-Key' }),
    });
    for (const { path, method, operation } of operations()) {
      const { security, 'x-access': access } = operation;
      const schemes = security.flatMap((scheme) => Object.keys(scheme)).sort();
      const expected = {
        public: [],
        anyone: ['access_token', 'api_key'],
        person: ['access_token'],
        scope: access.own ? ['access_token', 'api_key'] : ['api_key'],
      }[access.kind];
      expect([method, path, schemes]).toEqual([method, path, expected]);
    }
  });

  it('has an example value for every field of every answer', () => {
    const without = Object.entries(document.components.schemas).flatMap(([name, { properties }]) =>
      Object.entries(properties ?? {})
        .filter(
          ([field, schema]) =>
            !('example' in schema) &&
            !('$ref' in schema) &&
            !('allOf' in schema) &&
            !(field === 'data' && 'oneOf' in schema) &&
            schema.type !== 'array' &&
            !schema.additionalProperties,
        )
        .map(([field]) => `${name}.${field}`),
    );
    expect(without).toEqual([]);
  });

  it('is shown by Swagger UI at /docs', async () => {
    const { status, text: page } = await service.api.get('/docs');
    expect([status, page]).toEqual([200, expect.stringContaining('swagger-ui')]);
  });
});
