"""Counterparties, devices and accounts of the customers."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from kyc_ml.metrics import Floats, Ints, Mask
from kyc_ml.onboarding.synthetic import vocabulary as v
from kyc_ml.onboarding.synthetic.customers import CITIES, NEVER, Customers
from kyc_ml.onboarding.synthetic.settings import DAY, BankConfig

_FAVOURITES = 5
_PAYEES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Counterparties, devices and accounts.

    A counterparty is one position: terminals first, then the customers, then externals
    (others' accounts at other banks). The last terminals sell online. Devices 2c and
    2c + 1 belong to customer c (old and new phone); those above are strangers'.
    """

    config: BankConfig
    people: Customers
    """The customers themselves; `customers` is their number."""
    terminals: int
    first_web: int
    customers: int
    country: Ints
    """Country of each counterparty."""
    popularity: Floats
    price: Floats
    """`popularity` and `price`: relative number of buyers and factor on amounts, per terminal."""
    shops: Ints
    webshops: Ints
    payees: Ints
    customer_payees: Ints
    """`shops`, `webshops`, `payees` and `customer_payees`: habits, shape (n_customers, few)."""
    employer: Ints
    """Who pays the customer's salary."""
    mules: Ints
    """Externals that fraudsters and launderers use again and again."""
    device_label: Ints
    external_label: Ints
    """`device_label` and `external_label`: shuffled numbers, so that a name reveals nothing."""
    second_account: tuple[Ints, Ints, Ints]
    """Customer, opening and closing time of second accounts."""

    @property
    def first_external(self) -> int:
        """Position of the first external counterparty."""
        return self.terminals + self.customers

    def draw_externals(self, n: int, *, rng: Generator) -> Ints:
        """Draw `n` externals, hardly ever seen before by the customer in question."""
        return rng.integers(self.first_external, self.country.size, n)

    def draw_terminals(self, n: int, *, rng: Generator) -> Ints:
        """Draw `n` terminals by popularity."""
        return _draw(np.arange(self.terminals), self.popularity, (n,), rng)

    def device_at(self, customer: Ints, time: Ints) -> Ints:
        """Return the customer's own device at a time."""
        return 2 * customer + (time >= self.people.new_phone[customer])


def make_market(config: BankConfig, customers: Customers, *, rng: Generator) -> Market:
    """Draw the surroundings of the customers."""
    n = len(customers)
    terminals = max(40, n // 8)
    externals = 8 * n
    first_external = terminals + n
    first_web = terminals - terminals * 3 // 10
    popularity = np.arange(1, terminals + 1, dtype=np.float64) ** -0.4
    popularity = rng.permutation(popularity)
    city = rng.integers(0, CITIES, terminals)
    city[first_web:] = -1
    steady = np.flatnonzero(customers.steady)
    return Market(
        config=config,
        people=customers,
        terminals=terminals,
        first_web=first_web,
        customers=n,
        country=np.concatenate(
            [
                _draw_countries(terminals, 0.08, rng),
                customers.residence,
                _draw_countries(externals, 0.04, rng),
            ]
        ),
        popularity=popularity,
        price=np.exp(0.4 * rng.standard_normal(terminals)),
        shops=_draw_shops(customers, city, popularity, rng),
        webshops=_draw(
            np.arange(first_web, terminals), popularity[first_web:], (n, _FAVOURITES), rng
        ),
        payees=rng.integers(first_external, first_external + externals, (n, _PAYEES)),
        customer_payees=terminals + rng.choice(steady, (n, _PAYEES)),
        employer=first_external + rng.integers(0, n // 20 + 5, n),
        mules=first_external + rng.choice(externals, max(10, n // 15), replace=False),
        device_label=rng.permutation(3 * n),
        external_label=rng.permutation(externals),
        second_account=_draw_second_accounts(config, customers, rng),
    )


def _draw(items: Ints, weights: Floats, shape: tuple[int, ...], rng: Generator) -> Ints:
    edges = np.cumsum(weights)
    chosen = np.searchsorted(edges, rng.random(shape) * edges[-1], side="right")
    return np.asarray(items[chosen], dtype=np.int64)


def _draw_countries(n: int, abroad_share: float, rng: Generator) -> Ints:
    abroad: Mask = rng.random(n) < abroad_share
    abroad[[0, -1]] = True  # at least one shop and one webshop
    return np.where(abroad, rng.integers(1, len(v.COUNTRIES), n), v.HOME)


def _draw_shops(customers: Customers, city: Ints, popularity: Floats, rng: Generator) -> Ints:
    shops = np.empty((len(customers), _FAVOURITES), dtype=np.int64)
    for place in range(CITIES):
        here = np.flatnonzero(customers.city == place)
        local = np.flatnonzero(city == place)
        local = local if local.size else np.flatnonzero(city >= 0)
        shops[here] = _draw(local, popularity[local], (here.size, _FAVOURITES), rng)
    return shops


def _draw_second_accounts(
    config: BankConfig, customers: Customers, rng: Generator
) -> tuple[Ints, Ints, Ints]:
    owner = np.flatnonzero(rng.random(len(customers)) < 0.25)
    end = config.start_us + config.days * DAY
    span = end - customers.onboarded[owner]
    opened = customers.onboarded[owner] + (span * rng.uniform(0.0, 0.9, owner.size)).astype(int)
    life = ((end - opened) * rng.uniform(0.3, 1.0, owner.size)).astype(np.int64)
    closed = np.where(rng.random(owner.size) < 0.1, opened + life, NEVER)
    return owner, opened, closed
