"""A believable company, as plain data: the same every time."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

DOMAIN = "contoso.test"
DEPARTMENTS = ("Sales", "Engineering", "Finance", "Legal", "Human Resources", "Support")
BIG_GROUP = "All Employees"

GIVEN = (
    "Anna", "Björn", "Chloé", "Dmitri", "Élodie", "Fatima", "Giorgos", "Hiroshi", "Inês", "Jörg",
    "Käthe", "Liam", "María", "Niamh", "Ólafur", "Priya", "Quentin", "Rosa", "Søren", "Tomasz",
    "Ursula", "Víctor", "Wei", "Ximena", "Yusuf", "Zoë",
)  # fmt: skip
SURNAMES = (
    "Andersson", "Müller", "O'Brien", "García", "Novák", "Dvořák", "Papadopoulos", "Tanaka",
    "Åkesson", "D'Angelo", "Schröder", "Kowalczyk", "Nguyễn", "Yüksel", "Ćosić", "Lefèvre",
    "van der Berg", "Smith", "Öztürk", "Fernández-López", "Straße", "Ivanova", "Moreau", "Khan",
)  # fmt: skip
FOREIGN = (
    ("Γιώργος", "Παπαδόπουλος"),
    ("Дмитрий", "Иванов"),
    ("浩", "田中"),
    ("فاطمة", "الزهراء"),
    ("小明", "王"),
    ("Олена", "Шевченко"),
    ("민준", "김"),
    ("דוד", "כהן"),
)


@dataclass(frozen=True)
class Places:
    """Where the company keeps what, in the domain of a DNS name."""

    domain: str = DOMAIN

    @property
    def name(self) -> str:
        """The first label of the domain, as in `Contoso`."""
        return self.domain.partition(".")[0].capitalize()

    @property
    def base_dn(self) -> str:
        """The domain itself."""
        return ",".join(f"DC={label}" for label in self.domain.split("."))

    @property
    def top(self) -> str:
        """Holds all that is the company's."""
        return f"OU={self.name},{self.base_dn}"

    @property
    def staff(self) -> str:
        """Holds a unit for each department."""
        return f"OU=Staff,{self.top}"

    @property
    def groups(self) -> str:
        """Holds the groups."""
        return f"OU=Groups,{self.top}"

    @property
    def contacts(self) -> str:
        """Holds the contacts."""
        return f"OU=Contacts,{self.top}"

    @property
    def service_accounts(self) -> str:
        """Holds accounts that are nobody's."""
        return f"OU=Service Accounts,{self.top}"


@dataclass(frozen=True)
class Size:
    """How large a company: people, members of the big group, contacts."""

    people: int
    big_group: int
    contacts: int


SIZES = {
    "company": Size(people=2060, big_group=2000, contacts=40),
    "small": Size(people=48, big_group=40, contacts=6),
}


@dataclass(frozen=True)
class Person:
    """One user of the staff."""

    number: int
    given: str
    surname: str
    department: str
    places: Places

    @property
    def account(self) -> str:
        """The sAMAccountName."""
        return f"u{self.number:05d}"

    @property
    def display_name(self) -> str:
        """The display name; people of the same name are told apart by a number."""
        generation = self.number // (len(GIVEN) * len(SURNAMES))
        return f"{self.given} {self.surname}" + (f" {generation + 1}" if generation else "")

    @property
    def common_name(self) -> str:
        """The CN, unique; every ninth has a comma, as in `Müller, Jörg`."""
        if self.number % 9 == 0:
            return f"{self.surname}, {self.given} {self.number}"
        return f"{self.display_name} {self.number}"

    @property
    def dn(self) -> str:
        """The distinguished name."""
        return f"CN={escape(self.common_name)},OU={self.department},{self.places.staff}"

    @property
    def upn(self) -> str:
        """The user principal name; one person has a suffix the tenant does not know."""
        suffix = "fabrikam.example" if self.number == 17 else self.places.domain  # noqa: PLR2004  - one of them
        return f"{self.account}@{suffix}"

    @property
    def mail(self) -> str:
        """An address made of the name, in plain ASCII where that is possible."""
        local = plain(f"{self.given}.{self.surname}").strip(".")
        return f"{local or 'user'}.{self.number}@{self.places.domain}"

    @property
    def disabled(self) -> bool:
        """Whether the account is disabled: one in twenty-five."""
        return self.number % 25 == 7  # noqa: PLR2004  - any remainder does


def plain(text: str) -> str:
    """A text as names and addresses take it: ASCII letters, digits, dots and hyphens."""
    letters = unicodedata.normalize("NFKD", text.replace(" ", "-"))
    return "".join(c for c in letters if c.isascii() and (c.isalnum() or c in ".-")).lower()


def people(size: Size, places: Places) -> list[Person]:
    """Everybody on the staff."""
    found = []
    for number in range(size.people):
        if number < len(FOREIGN):
            given, surname = FOREIGN[number]
        else:
            given = GIVEN[number % len(GIVEN)]
            surname = SURNAMES[number // len(GIVEN) % len(SURNAMES)]
        department = DEPARTMENTS[number % len(DEPARTMENTS)]
        found.append(Person(number, given, surname, department, places))
    return found


def escape(value: str) -> str:
    """A value as it stands in a DN (RFC 4514)."""
    return "".join(f"\\{c}" if c in ',+"\\<>;=' else c for c in value)
