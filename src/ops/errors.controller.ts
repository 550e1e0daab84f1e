/** The pages that the `type` of an error leads to. */
import { Controller, Get, Header, Param } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { Public } from '../auth/access.js';
import { ERRORS, Problem, type ErrorCode } from '../errors.js';

const HTML = 'text/html; charset=utf-8';

@ApiExcludeController()
@Controller('errors')
export class ErrorsController {
  @Get()
  @Public()
  @Header('Content-Type', HTML)
  index(): string {
    const rows = Object.entries(ERRORS).map(
      ([code, { status, title }]) => `<li><a href="/errors/${code}">${code}</a> (${status}): ${title}</li>`,
    );
    return page('Errors', `<ul>${rows.join('')}</ul>`);
  }

  @Get(':code')
  @Public()
  @Header('Content-Type', HTML)
  read(@Param('code') code: string): string {
    if (!Object.hasOwn(ERRORS, code)) throw new Problem('not_found', 'There is no such error; /errors lists them all.');
    const { status, title, cause, fix, retryable } = ERRORS[code as ErrorCode];
    return page(
      title,
      `<p><code>${code}</code>, HTTP ${status}</p><h2>Cause</h2><p>${text(cause)}</p><h2>Fix</h2><p>${text(fix)}</p>
       <h2>Repeat?</h2><p>${retryable ? 'Yes: the same request can succeed later.' : 'No: the same request meets the same answer.'}</p>
       <p><a href="/errors">All errors</a></p>`,
    );
  }
}

function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title>
<style>body{font:16px/1.5 system-ui;max-width:40em;margin:3em auto;padding:0 1em}</style><h1>${title}</h1>${body}</html>`;
}

/** The table's texts are Markdown with code spans; nothing in them comes from a caller. */
function text(markdown: string): string {
  return markdown
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replace(/`([^`]+)`/g, '<code>$1</code>');
}
