"""What a handler is given by the names of its parameters, as it annotates them."""

from __future__ import annotations

from litestar.di import NamedDependency

from shroff.console.backend import ConsoleBackend
from shroff.console.forms import Form
from shroff.control.proposal import Person
from shroff.control.users import User

GivenBackend = NamedDependency[ConsoleBackend]
"""The installation, as `backend`."""
GivenForm = NamedDependency[Form]
"""The fields that a form sent, as `form`."""
GivenPerson = NamedDependency[Person]
"""The same with their role, as `person`: who proposes or agrees."""
GivenUser = NamedDependency[User]
"""Who is signed in, as `user`: for handlers with a role."""
