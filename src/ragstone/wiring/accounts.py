"""The accounts of an open Ragstone, apart from its documents: some processes need nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from ragstone.accounts.admit import Admission
from ragstone.accounts.api_keys import ApiKeys
from ragstone.accounts.audit import Audit
from ragstone.accounts.interceptors import Interceptors
from ragstone.accounts.plans import Plans
from ragstone.accounts.rate_limits import RateLimits
from ragstone.accounts.revisions import Changes
from ragstone.accounts.secret import Secret
from ragstone.accounts.sessions import Sessions
from ragstone.accounts.source_links import SourceLinks
from ragstone.accounts.tenants import Tenants
from ragstone.accounts.usage import Ledger
from ragstone.accounts.users import Users
from ragstone.accounts.widgets import Widgets


@dataclass(frozen=True, slots=True)
class Accounts:
    """Who may come in, what they may do, and what they used."""

    secret: Secret
    audit: Audit
    plans: Plans
    tenants: Tenants
    users: Users
    sessions: Sessions
    api_keys: ApiKeys
    widgets: Widgets
    limits: RateLimits
    ledger: Ledger
    admission: Admission
    changes: Changes
    interceptors: Interceptors
    source_links: SourceLinks
