"""The setting SHROFF_KAFKA: servers, or a file of options; a mistake is told and no secret with
it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from shroff.errors import ConfigurationError
from shroff.kafka.client import TopicWriter
from shroff.kafka.health import BrokerHealth
from shroff.kafka.messages import Topics
from shroff.kafka.options import client_options
from shroff.settings import Settings


def test_servers_and_files(tmp_path: Path) -> None:
    assert client_options(Settings.read({}).kafka) == {"bootstrap.servers": "localhost:9092"}
    assert client_options("[::1]:9092,b.example:1") == {
        "bootstrap.servers": "[::1]:9092,b.example:1"
    }
    file = tmp_path / "kafka.properties"
    file.write_text("# prod\n\nbootstrap.servers = a:1,b:2\n sasl.password= p=w \n")
    assert client_options(str(file)) == {"bootstrap.servers": "a:1,b:2", "sasl.password": "p=w"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sasl.password=hunter2", "expected the option `bootstrap.servers` in .*, got none"),
        ("bootstrap.servers=a:1\nhunter2", "expected `option=value` in each line .* without `=`"),
        (
            "bootstrap.servers=a:1\nenable.auto.commit=hunter2",
            "option `enable.auto.commit` .* Remove it",
        ),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=told) as refused:
        client_options(str(file))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "setting", ["kafka", "/nowhere/kafka.properties", "kafka:port", "a:1,,b:2"]
)
def test_neither_servers_nor_a_file(setting: str) -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"expected servers, .* or a readable file of options in SHROFF_KAFKA",
    ):
        client_options(setting)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"sasl.jaas.config": "hunter2"}, "an option"),
        ({"nonsense": "hunter2"}, "`nonsense`"),
        ({"security.protocol": "hunter2"}, "`security.protocol`"),
        (
            {"security.protocol": "sasl_ssl", "sasl.mechanism": "SCRAM-SHA-512"},
            "`sasl.password`, `sasl.username`",
        ),
    ],
)
def test_an_option_that_librdkafka_does_not_take_is_named(
    options: dict[str, str], named: str
) -> None:
    with pytest.raises(
        ConfigurationError, match=f"librdkafka does not take {named} in SHROFF_KAFKA: "
    ) as refused:
        TopicWriter({"bootstrap.servers": "a:1", **options}, health=BrokerHealth())
    assert "hunter2" not in str(refused.value)


def test_a_topic_has_one_role() -> None:
    with pytest.raises(
        ConfigurationError, match="a topic of its own for each purpose, got `a` twice"
    ):
        Topics(payments="a", decisions="b", rejected="a")
