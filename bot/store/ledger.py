"""The timeline in the database: reads entries, appends drafts, keeps the chain."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import batched
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from bot.clock import parse, stamp
from bot.errors import BadInputError, ConflictError, NotFoundError
from bot.store.schema import events, incidents, payloads
from bot.timeline.chain import GENESIS, body, link, payload_hash, unpack
from bot.timeline.entry import Actor, Draft, Entry
