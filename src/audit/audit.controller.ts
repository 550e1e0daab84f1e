import { Controller, Get, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { Needs } from '../auth/access.js';
import { ApiErrors, ApiPage } from '../openapi.js';
import { AuditEntryBody, ListAuditLogQuery } from './audit.dto.js';
import { AuditService } from './audit.service.js';

@ApiTags('Audit')
@Controller('v1/audit-log')
export class AuditController {
  constructor(private readonly audit: AuditService) {}

  @Get()
  @Needs('audit:read')
  @ApiOperation({ summary: 'Read what operators did, to what and why; latest first' })
  @ApiPage(AuditEntryBody)
  @ApiErrors('validation_failed', 'database_unavailable')
  list(@Query() query: ListAuditLogQuery) {
    return this.audit.list(query);
  }
}
