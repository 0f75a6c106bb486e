# The commands of bankes. They need Python 3.11 or newer and nothing else; `make help` lists them.

# The system's own Python, where it can make environments: distributions build theirs with profile-guided optimization,
# and one without it takes a sixth more time for a command. Else whichever comes first.
PYTHON ?= $(shell /usr/bin/python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo /usr/bin/python3 || echo python3)
LAUNCH = $(PYTHON) -m ops.embedded
TOOL = .venv/bin/python -m
# Two processes with servers of their own; a file of tests stays whole, since it may share what it has prepared.
SPREAD = --numprocesses=2 --dist=loadfile --no-loadscope-reorder
# What stops whole components and times how soon that is noticed has the machine to itself.
DRILLS = tests/drills tests/faults/test_components_stop.py

.PHONY: help run test test-drills test-looks screenshots faults drills bench bench-lists kafka-jars manage restart lint format lock audit

help:
	@echo 'make run                     start the bank: http://localhost:3000/admin/ (PORT=3001 for another port)'
	@echo 'make test                    run the tests against throw-away servers (ARGS="-k transfer" for some)'
	@echo 'make test-drills             the six drills on a throw-away bank, with a real Prometheus, and each component stopped in turn'
	@echo 'make faults                  kill -9 of relays, consumers, broker and Redis under load, tens of times (KILLS=40 SEED=1)'
	@echo 'make test-looks              the admin in Chromium: how it is used, and axe over every page, light, dark and at 360 px'
	@echo 'make screenshots             the pictures in the README anew, from a throw-away demo bank, to docs/screenshots'
	@echo 'make drills                  produce the symptoms of the troubleshooting guide on the running bank, and cure them:'
	@echo '                             DRILLS_ALLOWED=true make drills (ARGS="--url http://localhost:3001" for another port)'
	@echo 'make bench                   how fast it is beside bare PostgreSQL, into docs/benchmarks.md (QUICK=1: under five minutes;'
	@echo '                             ONLY=transfers,bulk ROUNDS=1 SECONDS=3 for a part, printed only)'
	@echo 'make bench-lists             the time of every list in the admin on ten million events, which takes a quarter of an hour and more (EVENTS=1000000 for fewer)'
	@echo 'make manage ARGS="COMMAND"   a command of manage.py on the running bank, e.g. ARGS="verify_ledger"'
	@echo 'make restart SERVICE=relay   restart one service of the running bank, in order (web, worker, monitor, consumers...)'
	@echo 'make lint                    formatting, types, import rules, migrations, deployment checks'
	@echo 'make format                  put the code into the format that lint asks for'
	@echo 'make lock                    bring requirements/*.txt up to requirements/*.in (ARGS=--upgrade: newest versions)'
	@echo 'make audit                   look for known vulnerabilities in the locked packages'
	@echo
	@echo 'PYTHON=python3.12            the Python to use'
	@echo 'HOST=0.0.0.0 PORT=3001       where the web server listens'
	@echo 'DATABASE_URL, REDIS_URL      servers of your own instead of private ones (DATABASE_OWNER_URL migrates)'
	@echo 'BANKES_POSTGRES=wheel        pass over the PostgreSQL of the machine'

run:
	@exec $(LAUNCH) run

test:
	@exec $(LAUNCH) test -- $(or $(ARGS),$(SPREAD) $(patsubst %,--ignore=%,$(DRILLS) tests/pages))

test-drills:
	@exec $(LAUNCH) test -- $(DRILLS)

test-looks:
	@exec $(LAUNCH) test -- tests/pages

screenshots:
	@README_SCREENSHOTS=1 exec $(LAUNCH) test -- tests/pages/test_readme_screenshots.py

faults:
	@KILLS=$${KILLS:-40} exec $(LAUNCH) test -- tests/faults -s $(ARGS)

drills:
	@exec $(LAUNCH) manage -- drill all $(ARGS)

bench:
	@QUICK=$(QUICK) exec $(LAUNCH) shell -- python -m tests.benchmarks

bench-lists:
	@exec $(LAUNCH) shell -- python -m tests.benchmarks.lists

# After a change of deploy/kafka/pom.xml: write down what Maven brings now.
kafka-jars:
	rm -rf var/kafka-jars.new
	mvn -B -q --strict-checksums -f deploy/kafka/pom.xml dependency:copy-dependencies \
		-DincludeScope=runtime -DoutputDirectory=$(CURDIR)/var/kafka-jars.new
	cd var/kafka-jars.new && sha256sum *.jar > ../../deploy/kafka/jars.sha256
	rm -rf var/kafka-jars.new

manage:
	@exec $(LAUNCH) manage -- $(ARGS)

restart:
	@exec $(LAUNCH) restart -- $(SERVICE)

lint:
	@$(LAUNCH) venv
	$(TOOL) ruff check .
	$(TOOL) ruff format --check .
	@SECURE_COOKIES=true $(LAUNCH) shell -- sh -ec '\
		set -x; \
		python -m mypy; \
		lint-imports; \
		python manage.py makemigrations --check --dry-run; \
		python manage.py check --deploy --fail-level WARNING'

format:
	@$(LAUNCH) venv
	$(TOOL) ruff check --fix .
	$(TOOL) ruff format .

# base first: the others are held to what it chose, since all share one virtual environment.
lock:
	@$(LAUNCH) venv
	cd requirements && for name in base otel dev postgres redis bench; do \
		$(CURDIR)/.venv/bin/python -m uv pip compile $(ARGS) --python-version 3.11 -q --generate-hashes \
			--no-emit-index-url --no-header --no-annotate -o $$name.txt $$name.in || exit 1; \
	done

audit:
	@$(LAUNCH) venv
	for name in base otel dev postgres redis bench; do \
		$(TOOL) pip_audit --require-hashes --disable-pip -r requirements/$$name.txt || exit 1; \
	done
